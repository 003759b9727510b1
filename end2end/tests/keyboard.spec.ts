import { LONG_REQUEST, expect, test } from "../support/test.ts";

test.describe("with the keyboard only", () => {
  test.use({ stackOptions: { paceMs: 25 } });

  test("from page load to an answer and its stop", async ({ chat, page }) => {
    await chat.open("/");
    await tabTo(chat.input);
    await page.keyboard.type(LONG_REQUEST);
    await page.keyboard.press("Enter");
    await chat.inTheMiddleOfText();
    await expect(chat.input).toBeFocused();
    await tabTo(chat.stop);
    await page.keyboard.press("Enter");
    await chat.settled();
    await expect(chat.lastAnswer.locator(".ending")).toContainText(/stopped/i);
    await tabTo(chat.input);
    await page.keyboard.type("list the files");
    await page.keyboard.press("Enter");
    await chat.settled();
    await expect(chat.answers).toHaveCount(2);
  });

  test("Shift and Enter begins a new line, Enter sends", async ({ chat, page }) => {
    await chat.open("/");
    await chat.input.focus();
    await page.keyboard.type("list the");
    await page.keyboard.press("Shift+Enter");
    await page.keyboard.type("files");
    await expect(chat.input).toHaveValue("list the\nfiles");
    await page.keyboard.press("Enter");
    await expect(chat.questions).toHaveCount(1);
    await expect(chat.input).toHaveValue("");
    await chat.settled();
  });

  test("Enter that ends the writing of a character does not send", async ({ chat, page }) => {
    await chat.open("/");
    await chat.input.focus();
    const keyboard = await page.context().newCDPSession(page);
    await keyboard.send("Input.imeSetComposition", {
      text: "にほん",
      selectionStart: 3,
      selectionEnd: 3,
    });
    await chat.input.dispatchEvent("keydown", { key: "Enter", isComposing: true, keyCode: 229 });
    await expect(chat.questions).toHaveCount(0);
    await keyboard.send("Input.insertText", { text: "日本" });
    await expect(chat.input).toHaveValue("日本");
  });

  test("Escape stops the answer, unless it ends the writing of a character or answers a question", async ({
    chat,
    page,
  }) => {
    await chat.open("/");
    await chat.ask(LONG_REQUEST);
    await chat.inTheMiddleOfText();
    await chat.input.dispatchEvent("keydown", { key: "Escape", isComposing: true, bubbles: true });
    const row = chat.chats.getByRole("listitem").first();
    await row.hover();
    await row.getByRole("button", { name: /delete/i }).click();
    await expect(page.getByRole("dialog")).toBeVisible();
    await page.keyboard.press("Escape");
    await expect(page.getByRole("dialog")).toBeHidden();
    const length = (await chat.prose()).length;
    await expect.poll(async () => (await chat.prose()).length).toBeGreaterThan(length + 200);
    await expect(chat.stop, "it goes on").toBeVisible();
    await chat.input.focus();
    await page.keyboard.press("Escape");
    await chat.settled();
    await expect(chat.lastAnswer.locator(".ending")).toContainText(/stopped/i);
  });

  test("the focus has a place when what had it goes", async ({ chat, page }) => {
    await chat.open("/");
    await chat.askAndWait("list the files");
    await chat.retry.press("Enter");
    await expect(chat.answers).toHaveCount(2);
    await expect(chat.input).toBeFocused();
    await chat.settled();

    const row = (title: string) => chat.chats.getByRole("listitem").filter({ hasText: title });
    const rename = row("list the files").getByRole("button", { name: /rename/i });
    await rename.press("Enter");
    await page.keyboard.press("Escape");
    await expect(chat.chats.getByRole("link", { name: "list the files" })).toBeFocused();
    await rename.press("Enter");
    await page.keyboard.type("The files");
    await page.keyboard.press("Enter");
    await expect(chat.chats.getByRole("link", { name: "The files" })).toBeFocused();

    await chat.newChat.click();
    await chat.askAndWait("what do you remember?");
    for (const [title, place] of [
      ["The files", chat.newChat],
      ["what do you remember?", chat.input],
    ] as const) {
      await row(title).getByRole("button", { name: /delete/i }).press("Enter");
      await page.getByRole("dialog").getByRole("button", { name: /delete/i }).press("Enter");
      await expect(row(title)).toHaveCount(0);
      await expect(place).toBeFocused();
    }
  });

  test("the focus comes back to the row that was renamed, be it with the mouse", async ({
    chat,
    page,
  }) => {
    await chat.open("/");
    await chat.askAndWait("list the files");
    await chat.newChat.click();
    const row = chat.chats.getByRole("listitem").filter({ hasText: "list the files" });
    await row.hover();
    await row.getByRole("button", { name: /rename/i }).click();
    const title = chat.chats.getByRole("textbox");
    await expect(title).toBeFocused();
    // The server makes one space of two: the title changes once more when its answer comes.
    await title.fill("The  files");
    const renamed = page.waitForResponse("**/api/rename_chat");
    await page.keyboard.press("Enter");
    await (await renamed).finished();
    await page.waitForTimeout(500);
    await expect(chat.chats.getByRole("link", { name: "The files" })).toBeFocused();
  });

  test("the focus has a place when a lost connection was tried again", async ({ chat, page }) => {
    let refusing = true;
    await page.routeWebSocket(/\/session/, (socket) => {
      if (refusing) void socket.close({ code: 4404, reason: "unknown session" });
      else socket.connectToServer();
    });
    await chat.open("/");
    await chat.ask(LONG_REQUEST);
    const button = page.getByRole("button", { name: "Reconnect now" });
    await button.focus();
    refusing = false;
    await button.press("Enter");
    await expect(button).toBeHidden();
    await expect(chat.input).toBeFocused();
    await chat.stop.click();
    await chat.settled();
  });

  test("a tool's row unfolds to its output", async ({ chat, page }) => {
    await chat.open("/");
    await chat.askAndWait("run: echo unfolded-output");
    const row = chat.lastAnswer.locator("details.step > summary").first();
    await row.focus();
    await page.keyboard.press("Enter");
    await expect(chat.lastAnswer.locator("details.step[open]")).toContainText("unfolded-output");
  });
});

/** Presses Tab until the element has the focus; every stop on the way must be visible. */
async function tabTo(target: import("@playwright/test").Locator): Promise<void> {
  const page = target.page();
  for (let presses = 0; presses < 40; presses += 1) {
    if (await target.evaluate((element) => element === document.activeElement)) return;
    await page.keyboard.press("Tab");
    const stop = page.locator(":focus");
    if ((await stop.count()) > 0) await expect(stop).toBeInViewport();
  }
  throw new Error("the element can't be reached with the Tab key");
}
