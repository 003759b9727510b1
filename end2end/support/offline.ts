import type { BrowserContext } from "@playwright/test";
import { type ChatPage, LONG_REQUEST } from "./chat-page.ts";
import type { ConsoleGate } from "./console-gate.ts";

/** Asks for a long answer, and takes the browser's network away in the middle of it. */
export async function goOfflineInAnAnswer(
  chat: ChatPage,
  context: BrowserContext,
  consoleGate: ConsoleGate,
): Promise<void> {
  consoleGate.allow(/Failed to load resource/, /WebSocket connection to .* failed/);
  await chat.ask(LONG_REQUEST);
  await chat.inTheMiddleOfText();
  await context.setOffline(true);
}
