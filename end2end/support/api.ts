// Server functions, called as the page calls them: from inside it, with its cookie.
import { randomBytes } from "node:crypto";
import type { Page } from "@playwright/test";

export interface Answer<Body> {
  status: number;
  body: Body;
}

/** Calls a server function from the page's own origin. */
export async function call<Body = unknown>(
  page: Page,
  name: string,
  body: object = {},
): Promise<Answer<Body>> {
  return page.evaluate(
    async ({ name, body }) => {
      const response = await fetch(`/api/${name}`, {
        method: "POST",
        headers: { "content-type": "application/json", accept: "application/json" },
        body: JSON.stringify(body),
      });
      const text = await response.text();
      return { status: response.status, body: text === "" ? null : JSON.parse(text) };
    },
    { name, body },
  );
}

export interface Balance {
  available: number;
  held: number;
}

export interface Message {
  turn_id: string;
  role: "user" | "assistant";
  parts: { type: string; text?: string }[];
  state: "complete" | "stopped" | "failed" | "interrupted";
  receipt: { input_tokens: number; output_tokens: number; charged: number } | null;
}

/** What is left to spend, in millionths of a credit. */
export async function balance(page: Page): Promise<Balance> {
  return (await call<Balance>(page, "balance")).body;
}

/** The settled messages of a chat. */
export async function messages(page: Page, chatId: string): Promise<Message[]> {
  const request = { chat_id: chatId, whole: true };
  return (await call<{ messages: Message[] }>(page, "open_chat", request)).body.messages;
}

/** Starts a turn without the page's own doing. */
export function startTurn(page: Page, turnId: string, text: string, chatId?: string) {
  const request = { chat_id: chatId ?? null, turn_id: turnId, text, model: null };
  return call<{ chat: { id: string }; turn_id: string }>(page, "start_turn", { request });
}

/** A UUIDv7, as the browser makes them for turns. */
export function newTurnId(): string {
  const bytes = randomBytes(16);
  bytes.writeUIntBE(Date.now(), 0, 6);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x70;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = bytes.toString("hex");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
