import { expect, test } from "../support/test.ts";

test("the messages that came with a page are the ones that come alive", async ({ chat, page }) => {
  await chat.open("/");
  await chat.askAndWait("list the files");
  let go = () => {};
  const marked = new Promise<void>((resolve) => (go = resolve));
  await page.route(/\.wasm$/, async (route) => {
    await marked;
    await route.continue();
  });
  await page.reload({ waitUntil: "commit" });
  await expect(chat.lastAnswer.locator(".receipt")).toBeAttached();
  await chat.lastAnswer.evaluate((answer) => answer.setAttribute("data-from-the-server", ""));
  go();
  await chat.hydrated();
  // They are alive: what they offer does something.
  await chat.retry.click();
  await expect(chat.answers).toHaveCount(2);
  await chat.settled();
  await expect(chat.answers.first()).toHaveAttribute("data-from-the-server");
  await expect(chat.lastAnswer).not.toHaveAttribute("data-from-the-server");
});

test("each of two chats shows its own messages, wherever one comes from", async ({ chat, page }) => {
  await chat.open("/");
  await chat.askAndWait("list the files");
  const first = await chat.chatId();
  await chat.newChat.click();
  await expect(chat.answers).toHaveCount(0);
  await chat.askAndWait("run: echo second");
  await chat.askAndWait("run: echo third");
  await chat.reload();
  await expect(chat.questions).toHaveText(["run: echo second", "run: echo third"]);
  await chat.chats.locator(`a[href="/chat/${first}"]`).click();
  await expect(chat.questions).toHaveText(["list the files"]);
  await expect(chat.answers).toHaveCount(1);
  await page.goBack();
  await expect(chat.questions).toHaveText(["run: echo second", "run: echo third"]);
  await page.goForward();
  await expect(chat.questions).toHaveText(["list the files"]);
  await chat.askAndWait("run: echo fourth");
  await expect(chat.questions).toHaveText(["list the files", "run: echo fourth"]);
});
