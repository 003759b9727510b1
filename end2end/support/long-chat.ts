import { setTimeout as pause } from "node:timers/promises";
import { expect, type Page } from "@playwright/test";
import { newTurnId } from "./api.ts";
import { Caller } from "./caller.ts";
import type { ChatPage } from "./chat-page.ts";

/** Makes a chat in which these were asked and answered, and leaves the page at its first answer. */
export async function makeChat(
  chat: ChatPage,
  page: Page,
  url: string,
  questions: string[],
): Promise<string> {
  const [first = "", ...others] = questions;
  await chat.open("/");
  await chat.askAndWait(first);
  const chatId = await chat.chatId();
  const caller = await Caller.of(page, url);
  for (const text of others) await take(caller, chatId, text);
  caller.close();
  return chatId;
}

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
