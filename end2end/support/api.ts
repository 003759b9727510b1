// Server functions, called as the page calls them: from inside it, with its cookie.
import { randomBytes } from "node:crypto";
import type { Page } from "@playwright/test";

export interface Answer {
  status: number;
  body: unknown;
}

/** Calls a server function from the page's own origin. */
export async function call(page: Page, name: string, body: object): Promise<Answer> {
  return page.evaluate(
    async ({ name, body }) => {
      const response = await fetch(`/api/${name}`, {
        method: "POST",
        headers: { "content-type": "application/json", accept: "application/json" },
        body: JSON.stringify(body),
      });
      const text = await response.text();
      try {
        return { status: response.status, body: JSON.parse(text) };
      } catch {
        return { status: response.status, body: text };
      }
    },
    { name, body },
  );
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
