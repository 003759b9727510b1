// The fixtures that every spec starts from.
import { test as base, expect, type BrowserContext } from "@playwright/test";
import { ChatPage, LONG_REQUEST } from "./chat-page.ts";
import { ConsoleGate } from "./console-gate.ts";
import { Stack, type StackOptions } from "./stack.ts";

interface Fixtures {
  stackOptions: StackOptions;
  /** The running product; `page.goto("/")` leads to it. */
  stack: Stack;
  /** Fails the test for whatever a page complains about and the test did not announce. */
  consoleGate: ConsoleGate;
  /** The page, seen as a person sees it. */
  chat: ChatPage;
  /** A browser of somebody else: own cookies, own account. */
  otherPerson: BrowserContext;
}

export const test = base.extend<Fixtures>({
  stackOptions: [{}, { option: true }],

  stack: async ({ stackOptions }, use, info) => {
    const stack = await Stack.start(stackOptions);
    await use(stack);
    if (info.status !== info.expectedStatus) {
      await info.attach("log", { body: stack.log, contentType: "text/plain" });
    }
    await stack.stop();
  },

  baseURL: async ({ stack }, use) => use(stack.url),

  consoleGate: async ({}, use) => {
    const gate = new ConsoleGate();
    await use(gate);
    expect(gate.failures, "what the page complained about").toEqual([]);
  },

  context: async ({ context, consoleGate }, use) => {
    consoleGate.watch(context);
    await use(context);
    // Pages let go of the server before it is asked to stop.
    await context.close();
  },

  chat: async ({ page }, use) => use(new ChatPage(page)),

  otherPerson: async ({ browser, baseURL, consoleGate }, use) => {
    const context = await browser.newContext({ ...(baseURL ? { baseURL } : {}) });
    consoleGate.watch(context);
    await use(context);
    await context.close();
  },
});

export { expect, ChatPage, LONG_REQUEST };
