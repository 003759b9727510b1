import type { Locator, Page } from "@playwright/test";
import { type ChatPage, expect, test } from "../support/test.ts";

test.use({ viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true });

test("on a phone: ask, read, find the chat again", async ({ chat, page }) => {
  await chat.open("/");
  await fits(chat);
  await chat.input.fill("list the files");
  await chat.send.tap();
  await chat.chatId();
  await chat.settled();
  await fits(chat);
  await expect(chat.input).toBeInViewport();

  await page.getByRole("button", { name: "Open the chats" }).tap();
  await expect(chat.chats.getByRole("link", { name: "list the files" })).toBeVisible();
  await fits(chat);
  await chat.newChat.tap();
  await expect(chat.questions).toHaveCount(0);
  await isClosed(chat);
});

test("on a phone Back closes the chats and stays on the page", async ({ chat, page }) => {
  await chat.open("/");
  await chat.askAndWait("list the files");
  const address = page.url();
  await menu(page).tap();
  await expect(chat.newChat).toBeVisible();
  await page.goBack();
  await isClosed(chat);
  expect(page.url()).toBe(address);
  await expect(menu(page)).toBeFocused();
  await expect(chat.questions).toHaveCount(1);
});

test("on a phone the chats close when one follows them to where one is", async ({ chat, page }) => {
  await chat.open("/");
  await menu(page).tap();
  await chat.newChat.tap();
  await isClosed(chat);
  await chat.askAndWait("list the files");
  const address = page.url();
  await menu(page).tap();
  await chat.chats.getByRole("link", { name: "list the files" }).tap();
  await isClosed(chat);
  expect(page.url()).toBe(address);
  // One step back leads out of the chat: the drawer has left nothing in the history.
  await page.goBack();
  await expect(page).toHaveURL(/\/$/);
  await expect(chat.questions).toHaveCount(0);
});

test("turning the screen while the chats are open leaves a page that works", async ({
  chat,
  page,
}) => {
  await chat.open("/");
  await menu(page).tap();
  await expect(page.locator("main")).toHaveAttribute("inert", "");
  await page.setViewportSize({ width: 844, height: 390 });
  await expect(page.locator("main")).not.toHaveAttribute("inert");
  await chat.askAndWait("list the files");
});

test("on a phone the state of the sandbox is read and read out in the same words", async ({ chat }) => {
  await chat.open("/");
  await expect(chat.sandbox).toMatchAriaSnapshot('- status "Sandbox": No sandbox yet');
  await chat.askAndWait("list the files");
  await expect(chat.sandbox).toMatchAriaSnapshot('- status "Sandbox": Sandbox running');
  await expect(chat.sandbox.getByText("Sandbox running")).toBeInViewport();
});

test("on a phone wide tables and long lines scroll by themselves, the page does not", async ({
  chat,
}) => {
  await chat.open("/");
  await chat.askAndWait("write a long markdown answer");
  await fits(chat);
});

test("on a phone everything that is touched is large enough", async ({ chat, page }) => {
  await chat.open("/");
  await chat.askAndWait("list the files");
  expect(await small(page)).toEqual([]);
  await menu(page).tap();
  await expect(chat.newChat).toBeVisible();
  expect(await small(page)).toEqual([]);
});

/** What is to be touched and is smaller than a finger. */
async function small(page: Page): Promise<string[]> {
  // While the chats slide in, what is measured is not quite what it will be.
  await page.evaluate(() => {
    const ends = ({ effect }: Animation) => Number.isFinite(effect?.getComputedTiming().endTime);
    const animations = document.getAnimations().filter(ends);
    return Promise.allSettled(animations.map((animation) => animation.finished));
  });
  const touched = page.locator("button, textarea, summary, nav a, .new-chat");
  return touched.filter({ visible: true }).evaluateAll((elements) =>
    elements
      .map((element) => ({ box: element.getBoundingClientRect(), html: element.outerHTML }))
      .filter(({ box }) => box.width < 44 || box.height < 44)
      .map(({ box, html }) => `${box.width} × ${box.height}: ${html.slice(0, 120)}`),
  );
}

function menu(page: Page): Locator {
  return page.getByRole("button", { name: "Open the chats" });
}

async function isClosed(chat: ChatPage): Promise<void> {
  await expect(chat.newChat).toBeHidden();
  await expect(chat.page.locator("main")).not.toHaveAttribute("inert");
}

async function fits(chat: ChatPage): Promise<void> {
  expect(await chat.overflow(), "wider than the screen").toEqual({ page: 0, conversation: 0 });
}
