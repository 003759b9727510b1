import type { Page } from "@playwright/test";
import { makeChat } from "../support/long-chat.ts";
import { ChatPage, expect, test } from "../support/test.ts";

/** How many turns a chat opens with. */
const AT_ONCE = 12;

test.use({ viewport: { width: 1200, height: 800 } });

test("a long chat opens at its end, and what came before comes as the reader scrolls up, without a jump", async ({
  chat,
  page,
  stack,
}) => {
  const asked = numbered(AT_ONCE * 2 + 4);
  await makeChat(chat, page, stack.url, asked);
  await chat.reload();
  await expect(chat.questions).toHaveText(asked.slice(-AT_ONCE));
  await expect(chat.questions.last()).toBeInViewport();
  await expect(chat.earlier).not.toBeInViewport();

  // At the very beginning, where browsers keep no place, and below it, where they do.
  for (const [from, shown] of [[0, AT_ONCE * 2], [250, asked.length]] as const) {
    const release = await hold(page);
    await chat.conversation.evaluate((log, top) => log.scrollTo(0, top), from);
    await expect(page.getByRole("button", { name: "Loading earlier messages…" })).toBeAttached();
    const answer = await chat.answers.first().elementHandle();
    await answer?.evaluate((it) => it.querySelector<HTMLElement>(".step > summary")?.focus({ preventScroll: true }));
    const before = await answer?.boundingBox();
    release();
    await expect(chat.questions).toHaveCount(shown);
    await painted(page);
    const after = await answer?.boundingBox();
    expect(Math.abs((after?.y ?? 0) - (before?.y ?? -1))).toBeLessThanOrEqual(1);
    expect(
      await answer?.evaluate((it) => it.contains(document.activeElement)),
      "what is shown already is not touched",
    ).toBe(true);
  }
  await expect(chat.questions).toHaveText(asked);
  await expect(chat.earlier).toHaveCount(0);
  await expect(chat.retry).toHaveCount(1);
});

test("with the keyboard: what failed is said and tried again, and the focus stays", async ({
  chat,
  page,
  stack,
  consoleGate,
}) => {
  consoleGate.allow(/Failed to load resource/);
  const asked = numbered(AT_ONCE * 2 + 2);
  await makeChat(chat, page, stack.url, asked);
  await page.route("**/api/earlier_messages", (route) => route.abort());
  await chat.reload();
  await chat.conversation.focus();
  await page.keyboard.press("Home");
  const words = "Earlier messages could not be loaded. The server can't be reached.";
  await expect(chat.conversation.locator(".earlier")).toContainText(words);
  const said = page.locator(".frame > p[role=status]");
  await expect(said).toContainText(words);
  await page.keyboard.press("Tab");
  const again = page.getByRole("button", { name: "Try again" });
  await expect(again).toBeFocused();
  await page.keyboard.press("Enter");
  await expect(again, "it failed once more").toBeFocused();

  await page.unroute("**/api/earlier_messages");
  await page.keyboard.press("Enter");
  await expect(chat.questions).toHaveCount(AT_ONCE * 2);
  await expect(said).toHaveText(`${AT_ONCE * 2} earlier messages loaded.`);
  await expect(chat.earlier).toBeFocused();
  await page.keyboard.press("Enter");
  await expect(chat.questions).toHaveText(asked);
  await expect(said).toHaveText("4 earlier messages loaded.");
  await expect(chat.conversation).toBeFocused();
});

test("what another tab asks leaves the earlier messages where they are", async ({
  chat,
  page,
  context,
  stack,
}) => {
  const asked = numbered(AT_ONCE + 2);
  const chatId = await makeChat(chat, page, stack.url, asked);
  await chat.reload();
  await chat.scrollToEarlier();
  await expect(chat.questions).toHaveText(asked);
  const elsewhere = new ChatPage(await context.newPage());
  await elsewhere.open(`/chat/${chatId}`);
  await expect(elsewhere.questions).toHaveCount(AT_ONCE);
  await elsewhere.askAndWait("list the files");
  await expect(chat.questions).toHaveText([...asked, "list the files"]);
  await chat.settled();
  await chat.askAndWait("run: echo the-last");
  await expect(chat.questions).toHaveText([...asked, "list the files", "run: echo the-last"]);
  await expect(elsewhere.questions.last()).toHaveText("run: echo the-last");
});

test("with JavaScript off a link of its own shows the whole chat, which comes alive, too", async ({
  chat,
  page,
  browser,
  stack,
}) => {
  const asked = numbered(AT_ONCE + 2);
  await makeChat(chat, page, stack.url, asked);
  const state = await page.context().storageState();
  const context = await browser.newContext({ javaScriptEnabled: false, storageState: state });
  const still = new ChatPage(await context.newPage());
  await still.page.goto(page.url());
  await expect(still.questions).toHaveText(asked.slice(-AT_ONCE));
  await still.earlier.click();
  await expect(still.page).toHaveURL(`${page.url()}?messages=all`);
  await expect(still.questions).toHaveText(asked);
  await expect(still.earlier).toHaveCount(0);
  const whole = still.page.url();
  await context.close();

  await chat.open(whole);
  await expect(chat.questions).toHaveText(asked);
  await chat.askAndWait("list the files");
  await expect(chat.questions).toHaveText([...asked, "list the files"]);
});

function numbered(count: number): string[] {
  return Array.from({ length: count }, (_, at) => `run: echo number-${at + 1}`);
}

/** Holds earlier messages back until the function it gives is called. */
async function hold(page: Page): Promise<() => void> {
  let release = () => {};
  const released = new Promise<void>((resolve) => (release = resolve));
  await page.route(
    "**/api/earlier_messages",
    async (route) => {
      await released;
      await route.continue();
    },
    { times: 1 },
  );
  return release;
}

/** Past the next frame, in which a browser would move what it shows. */
async function painted(page: Page): Promise<void> {
  await page.evaluate(
    () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))),
  );
}
