import { expect, test } from "../support/test.ts";

test.use({ viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true });

test("on a phone: ask, read, find the chat again", async ({ chat, page }) => {
  await chat.open("/");
  await fits(page);
  await chat.input.fill("list the files");
  await chat.send.tap();
  await chat.chatId();
  await chat.settled();
  await fits(page);
  await expect(chat.input).toBeInViewport();

  await page.getByRole("button", { name: "Open the chats" }).tap();
  await expect(chat.chats.getByRole("link", { name: "list the files" })).toBeVisible();
  await fits(page);
  await chat.newChat.tap();
  await expect(chat.questions).toHaveCount(0);
});

test("on a phone wide tables and long lines scroll by themselves, the page does not", async ({
  chat,
  page,
}) => {
  await chat.open("/");
  await chat.askAndWait("write a long markdown answer");
  await fits(page);
});

test("on a phone everything that is touched is large enough", async ({ chat, page }) => {
  await chat.open("/");
  await chat.askAndWait("list the files");
  const small = await page.locator("button:visible, textarea:visible").evaluateAll((elements) =>
    elements
      .map((element) => ({ box: element.getBoundingClientRect(), html: element.outerHTML }))
      .filter(({ box }) => box.width < 24 || box.height < 24)
      .map(({ html }) => html.slice(0, 120)),
  );
  expect(small).toEqual([]);
});

async function fits(page: import("@playwright/test").Page): Promise<void> {
  const overflow = await page.evaluate(
    () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
  );
  expect(overflow, "the page is wider than the screen").toBeLessThanOrEqual(0);
}
