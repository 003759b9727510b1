import { setTimeout as pause } from "node:timers/promises";
import { newTurnId } from "../support/api.ts";
import { Caller, type Timed } from "../support/caller.ts";
import { percentile, report } from "../support/measure.ts";
import { expect, test } from "../support/test.ts";

test("time of each server function, with a warm sandbox", async ({ chat, page, stack }) => {
  await chat.open("/");
  await chat.askAndWait("list the files");
  const chat_id = await chat.chatId();
  const caller = await Caller.of(page, stack.url);
  // A page that shows every turn would take its time from the server's.
  await page.goto("about:blank");
  const times = new Map<string, number[]>();

  async function timed<Body>(name: string, body: object = {}): Promise<Timed<Body>> {
    const answer = await caller.call<Body>(name, body);
    expect(answer.status, `${name}: ${JSON.stringify(answer.body)}`).toBe(200);
    times.set(name, [...(times.get(name) ?? []), answer.ms]);
    return answer;
  }

  for (let round = 0; round < 100; round += 1) {
    const turn_id = newTurnId();
    const request = { chat_id, turn_id, text: "list the files", model: null };
    await timed("start_turn", { request });
    await timed("turn_status", { turn_id });
    await timed("refresh_token", { chat_id });
    await untilRecorded(caller, turn_id);
    const report = { input_tokens: 1, output_tokens: 1, duration_ms: 1 };
    await timed("complete_turn", { turn_id, report });
    await timed("stop_turn", { turn_id });
    await timed("balance");
    await timed("list_chats");
    await timed("rename_chat", { chat_id, title: `round ${round}` });
  }
  for (let round = 0; round < 30; round += 1) await timed("open_chat", { chat_id });
  caller.close();
  for (const [name, samples] of times) {
    report(`${name}_p50`, percentile(samples, 0.5));
    report(`${name}_p99`, percentile(samples, 0.99));
  }
});

/** Waits until the turn is over, without settling it by the way. */
async function untilRecorded(caller: Caller, turn_id: string): Promise<void> {
  for (let look = 0; look < 400; look += 1) {
    const { body } = await caller.call<{ state: string }>("turn_status", { turn_id });
    if (!["provisioning", "running"].includes(body.state)) return;
    await pause(5);
  }
}
