import type { Page } from "@playwright/test";
import { makeChat } from "../support/long-chat.ts";
import {
  aliveAfter,
  MainThread,
  percentile,
  report,
  watchAlive,
  watchModuleMemory,
} from "../support/measure.ts";
import { expect, test } from "../support/test.ts";

const TURNS = 150;

test.use({ stackOptions: { guestCredits: 100_000 } });

test("opening a thread of 300 messages", async ({ chat, page, stack }) => {
  const asked = Array.from({ length: TURNS }, (_, turn) => QUESTIONS[turn % 3] ?? "");
  const chatId = await makeChat(chat, page, stack.url, asked);

  await watchModuleMemory(page);
  await watchAlive(page);
  const loads: number[] = [];
  for (let round = 0; round < 5; round += 1) {
    await page.goto("about:blank");
    await chat.open(`/chat/${chatId}`);
    loads.push(await aliveAfter(page));
  }
  await expect(chat.questions.last()).toHaveText(asked.at(-1) ?? "");
  const main = await MainThread.of(page);
  report("thread_load", percentile(loads, 0.5));
  report("thread_nodes", await nodes(page));
  report("thread_heap", await main.heap(page));

  while ((await chat.questions.count()) < TURNS) await chat.scrollToEarlier();
  await expect(chat.questions).toHaveText(asked);
  report("thread_nodes_all", await nodes(page));
});

async function nodes(page: Page): Promise<number> {
  return page.evaluate(() => document.querySelectorAll("*").length);
}

const QUESTIONS = [
  "list the files",
  "run: uname -a; date",
  "write a long markdown answer of 1000 characters",
];
