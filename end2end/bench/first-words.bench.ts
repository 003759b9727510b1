// From a message to the agent's first words, with a model that answers at once: what is measured is
// all that stands between.
import { performance } from "node:perf_hooks";
import { percentile, report, reportMissing } from "../support/measure.ts";
import { ScriptedModel } from "../support/scripted-model.ts";
import type { Stack, StackOptions } from "../support/stack.ts";
import { expect, test } from "../support/test.ts";

const COLD_ROUNDS = 3;
const WARM_ROUNDS = 9;
/** What each agent is asked: the demo agent knows sentences, all others ask the model. */
const MESSAGES = {
  demo: "list the files",
  skein: "SAY[Hello there.]",
  "claude-code": "SAY[Hello there.]",
  codex: "SAY[Hello there.]",
  opencode: "SAY[Hello there.]",
};

test.use({
  stackOptions: async ({}, use) => {
    const model = await ScriptedModel.start();
    const agents = process.env.SKEIN_AGENTS;
    const options: StackOptions = {
      orchestrator: "separate",
      environment: {
        SKEIN_MODEL_URL: model.url,
        SKEIN_MODEL_FORMATS: "messages,responses,chat-completions",
        ...(agents ? { SKEIN_AGENTS: agents } : {}),
      },
    };
    await use(options);
    await model.stop();
  },
});

for (const [agent, message] of Object.entries(MESSAGES)) {
  test(`first words of ${agent}`, async ({ stack }) => {
    // The slowest agent takes seconds to start, and minutes where others work as well.
    test.setTimeout(900_000);
    const { agents } = await stack.orchestratorCall<Catalog>("GET", "/v1/agents");
    if (!agents.some(({ id, available }) => id === agent && available)) {
      for (const start of ["cold", "warm"]) {
        reportMissing(`first_words_${agent}_${start}`, "not installed");
      }
      test.skip(true, `${agent} is not installed`);
    }
    const cold: number[] = [];
    const warm: number[] = [];
    for (let round = 0; round < COLD_ROUNDS; round += 1) {
      const sandbox = await newSandbox(stack);
      const ask = (turn: string) => firstWords(stack, sandbox, turn, agent, message);
      cold.push(await ask("cold"));
      for (let next = 0; next < WARM_ROUNDS / COLD_ROUNDS; next += 1) {
        warm.push(await ask(`warm-${next}`));
      }
      await stack.orchestratorCall("DELETE", `/v1/sandboxes/${sandbox}`);
    }
    report(`first_words_${agent}_cold`, percentile(cold, 0.5));
    report(`first_words_${agent}_warm`, percentile(warm, 0.5));
  });
}

interface Catalog {
  agents: { id: string; available: boolean }[];
}

/** A running sandbox. Making one has a bench of its own. */
async function newSandbox(stack: Stack): Promise<string> {
  const created = await stack.orchestratorCall<{ id: string }>("POST", "/v1/sandboxes", {});
  const path = `/v1/sandboxes/${created.id}`;
  await expect
    .poll(async () => (await stack.orchestratorCall<{ status: string }>("GET", path)).status)
    .toMatch(/^(running|ready)$/);
  return created.id;
}

/** Milliseconds from the dispatch of a turn to its first piece of text. */
async function firstWords(
  stack: Stack,
  sandbox: string,
  turn: string,
  agent: string,
  message: string,
): Promise<number> {
  const session = `/v1/sandboxes/${sandbox}/runtime/agents/sessions/${sandbox}`;
  const started = performance.now();
  const receipt = await stack.orchestratorCall<{ since: number }>("POST", `${session}/messages`, {
    turnId: turn,
    parts: [{ type: "text", text: message }],
    backend: { type: agent },
  });
  let first = Number.NaN;
  const events = stack.orchestratorEvents<{ delta?: string; outcome?: string }>(
    `${session}/events?since=${receipt.since}`,
  );
  for await (const { type, data } of events) {
    if (type === "message.part.updated" && data.delta && Number.isNaN(first)) {
      first = performance.now() - started;
    }
    if (type === "done") {
      expect(data.outcome, "the turn is one that counts").toBe("completed");
      break;
    }
  }
  expect(first, "the agent says something").toBeGreaterThan(0);
  return first;
}
