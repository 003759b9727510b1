import { setTimeout as pause } from "node:timers/promises";
import { newTurnId } from "../support/api.ts";
import { Caller } from "../support/caller.ts";
import { MainThread, percentile, report, watchModuleMemory } from "../support/measure.ts";
import { expect, test } from "../support/test.ts";

const TURNS = 150;

test.use({ stackOptions: { guestCredits: 100_000 } });

test("opening a thread of 300 messages", async ({ chat, page, stack }) => {
  await chat.open("/");
  await chat.askAndWait("list the files");
  const chat_id = await chat.chatId();
  const caller = await Caller.of(page, stack.url);
  for (let turn = 1; turn < TURNS; turn += 1) await take(caller, chat_id, QUESTIONS[turn % 3] ?? "");
  caller.close();

  await watchModuleMemory(page);
  const loads: number[] = [];
  for (let round = 0; round < 5; round += 1) {
    await page.goto("about:blank");
    await chat.open(`/chat/${chat_id}`);
    loads.push(await page.evaluate(() => performance.now()));
  }
  await expect(chat.questions).toHaveCount(TURNS);
  const main = await MainThread.of(page);
  report("thread_load", percentile(loads, 0.5));
  report("thread_nodes", await page.evaluate(() => document.querySelectorAll("*").length));
  report("thread_heap", await main.heap(page));
});

const QUESTIONS = [
  "list the files",
  "run: uname -a; date",
  "write a long markdown answer of 1000 characters",
];

async function take(caller: Caller, chat_id: string, text: string): Promise<void> {
  const turn_id = newTurnId();
  const request = { chat_id, turn_id, text, model: null };
  expect((await caller.call("start_turn", { request })).status).toBe(200);
  const report = { input_tokens: null, output_tokens: null, duration_ms: null };
  for (let look = 0; look < 2_000; look += 1) {
    const { body } = await caller.call<{ outcome: object | null }>("complete_turn", {
      turn_id,
      report,
    });
    if (body.outcome) return;
    await pause(10);
  }
  throw new Error("the turn did not end");
}
