import { type ChatPage, expect, test } from "../support/test.ts";

test.describe("what was typed and not sent", () => {
  test.use({ stackOptions: { paceMs: 25 } });

  test("waits in its own chat, over other chats and a reload", async ({ chat }) => {
    await chat.open("/");
    await chat.askAndWait("list the files");
    const row = chat.chats.getByRole("link", { name: "list the files" });
    await chat.input.fill("about the files");
    await chat.newChat.click();
    await expect(chat.input).toHaveValue("");
    await chat.input.fill("about something new");
    await row.click();
    await expect(chat.input).toHaveValue("about the files");
    await chat.reload();
    await expect(chat.input).toHaveValue("about the files");
    await chat.newChat.click();
    await expect(chat.input).toHaveValue("about something new");
    await chat.askAndWait("about something new");
    await chat.newChat.click();
    await expect(chat.input).toHaveValue("");
  });

  test("belongs to the chat that it was typed in, be it that it had no address yet", async ({
    chat,
    page,
  }) => {
    const release = await holdStart(page);
    await chat.open("/");
    await chat.ask("list the files");
    await chat.input.fill("and then count them");
    release();
    await chat.chatId();
    await chat.settled();
    await expect(chat.input).toHaveValue("and then count them");
    await chat.newChat.click();
    await expect(chat.input).toHaveValue("");
    await chat.chats.getByRole("link", { name: "list the files" }).click();
    await expect(chat.input).toHaveValue("and then count them");
    await chat.reload();
    await expect(chat.input).toHaveValue("and then count them");
  });

  test("is not all that a chat keeps from before it had an address: what was chosen stays, too", async ({
    chat,
    page,
  }) => {
    const release = await holdStart(page);
    const line = page.getByRole("button", { name: /Permissions/ });
    await chat.open("/");
    await chat.ask("list the files");
    await chat.permit("Ask first");
    release();
    await chat.chatId();
    await chat.settled();
    await chat.newChat.click();
    await expect(line).toHaveText(/Allow everything/);
    await chat.chats.getByRole("link", { name: "list the files" }).click();
    await expect(line).toHaveText(/Ask first/);
    await chat.reload();
    await expect(line).toHaveText(/Ask first/);
  });

  test("is not the message that is on its way", async ({ chat, page }) => {
    await chat.open("/");
    await chat.askAndWait("list the files");
    const first = await chat.chatId();
    await chat.newChat.click();
    await chat.askAndWait("what do you remember?");
    const release = await holdStart(page);
    await chat.ask("list the files again");
    const row = (id: string) => chat.chats.locator(`a[href="/chat/${id}"]`);
    const second = await chat.chatId();
    await row(first).click();
    await expect(chat.questions.first()).toContainText("list the files");
    await row(second).click();
    await expect(chat.questions.last()).toContainText("list the files again");
    await expect(chat.input).toHaveValue("");
    release();
    await chat.settled();
    await expect(chat.input).toHaveValue("");
  });
});

test.describe("a message that was refused", () => {
  test.use({ stackOptions: { guestCredits: 0 } });

  test("comes back once", async ({ chat, page, consoleGate }) => {
    consoleGate.allow(/402/);
    const release = await holdStart(page);
    await chat.open("/");
    await chat.ask("list the files");
    // What is kept of it is in the field already when it comes back.
    await chat.input.fill("list the files");
    release();
    await expect(page.locator(".strip")).toContainText("Not enough credits");
    await expect(chat.input).toHaveValue("list the files");
  });
});

/** Holds messages back until the function that it gives is called. */
async function holdStart(page: ChatPage["page"]): Promise<() => void> {
  let release = () => {};
  const held = new Promise<void>((resolve) => (release = resolve));
  await page.route("**/api/start_turn", async (route) => {
    await held;
    await route.continue();
  });
  return release;
}
