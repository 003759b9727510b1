import { call } from "../support/api.ts";
import { ChatPage, LONG_REQUEST, expect, test } from "../support/test.ts";

test.describe("several chats", () => {
  test.use({ stackOptions: { paceMs: 25 } });

  test("two stream at once, each its own", async ({ chat, context }) => {
    await chat.open("/");
    await chat.ask(LONG_REQUEST);
    await chat.chatId();
    const second = new ChatPage(await context.newPage());
    await second.open("/");
    await second.ask("run: for i in 1 2 3 4 5 6; do echo step-$i; sleep 0.5; done");
    await expect(second.stop).toBeVisible();
    await chat.inTheMiddleOfText(200);
    await second.settled();
    await chat.settled();
    await expect(second.lastAnswer).toContainText("step-6");
    await expect(chat.conversation).not.toContainText("step-6");
    await expect(chat.lastAnswer).toContainText("demo agent");
    expect((await chat.prose()).length).toBeGreaterThan(3000);
  });

  test("two stream at once in one tab, each its own", async ({ chat, page }) => {
    let streams = 0;
    page.on("websocket", (socket) => {
      streams += 1;
      socket.on("close", () => (streams -= 1));
    });
    await chat.open("/");
    await chat.ask(LONG_REQUEST);
    const first = await chat.chatId();
    await chat.inTheMiddleOfText(200);
    await chat.newChat.click();
    await expect(chat.questions).toHaveCount(0);
    await chat.ask("run: for i in 1 2 3 4 5 6; do echo step-$i; sleep 2; done");
    await expect(chat.lastAnswer.locator(".step").first()).toBeVisible();
    await expect.poll(() => streams).toBe(2);
    const second = await chat.chatId();
    expect(second).not.toBe(first);

    const row = (id: string) => chat.chats.locator(`a[href="/chat/${id}"]`);
    await row(first).click();
    await expect(chat.questions.first()).toContainText(LONG_REQUEST);
    const length = (await chat.prose()).length;
    await expect.poll(async () => (await chat.prose()).length).toBeGreaterThan(length);
    await expect(chat.conversation).not.toContainText("step-");
    await row(second).click();
    await chat.settled();
    await expect(chat.lastAnswer).toContainText("step-6");
    expect(await chat.prose()).not.toContain("markdown answer");
    await row(first).click();
    await chat.settled();
    expect((await chat.prose()).length).toBeGreaterThan(3000);
    await expect(chat.conversation).not.toContainText("step-");
  });

  test("one goes on while another is read, and is whole when one comes back", async ({ chat }) => {
    await chat.open("/");
    await chat.askAndWait("list the files");
    await chat.newChat.click();
    await expect(chat.questions).toHaveCount(0);
    await chat.ask(LONG_REQUEST);
    await chat.inTheMiddleOfText();
    const id = await chat.chatId();
    await chat.chats.getByRole("link", { name: "list the files" }).click();
    await expect(chat.questions.first()).toContainText("list the files");
    await expect(chat.stop).toBeHidden();
    await chat.chats.locator(`a[href="/chat/${id}"]`).click();
    await expect(chat.questions.first()).toContainText(LONG_REQUEST);
    await chat.settled();
    const streamed = await chat.prose();
    await chat.reload();
    expect(await chat.prose()).toBe(streamed);
  });

  test("one that is deleted while it streams is gone, and nothing of it stays", async ({
    chat,
    page,
    consoleGate,
  }) => {
    consoleGate.allow(/WebSocket/, /Failed to load resource/);
    await chat.open("/");
    await chat.ask(LONG_REQUEST);
    await chat.inTheMiddleOfText();
    const chat_id = await chat.chatId();
    const item = chat.chats.getByRole("listitem").filter({ hasText: "write a long markdown" });
    await item.hover();
    await item.getByRole("button", { name: /delete/i }).click();
    await page.getByRole("dialog").getByRole("button", { name: /delete/i }).click();
    await expect(item).toHaveCount(0);
    await expect(page).toHaveURL(/\/$/);
    expect((await call(page, "open_chat", { chat_id })).status).toBe(404);
    expect((await page.request.get(`/chat/${chat_id}`)).status()).toBe(404);
    await chat.askAndWait("list the files");
  });
});

test("a person who comes back loads a chat again only when it has changed", async ({
  chat,
  page,
  context,
}) => {
  await chat.open("/");
  await chat.askAndWait("list the files");
  const chatId = await chat.chatId();
  const opened: string[] = [];
  page.on("request", (request) => {
    if (request.url().endsWith("/api/open_chat")) opened.push(request.url());
  });
  const comeBack = async () => {
    const listed = page.waitForResponse((response) => response.url().endsWith("/api/list_chats"));
    await page.evaluate(() => window.dispatchEvent(new Event("focus")));
    await (await listed).finished();
  };
  await comeBack();
  await comeBack();
  expect(opened).toEqual([]);

  const elsewhere = new ChatPage(await context.newPage());
  await elsewhere.open(`/chat/${chatId}`);
  await elsewhere.askAndWait("what do you remember?");
  await elsewhere.page.close();
  await comeBack();
  await expect(chat.questions).toHaveCount(2);
  // Once because it began there, and perhaps once more because it ended there.
  await comeBack();
  let loads = -1;
  let unchanged = 0;
  await expect
    .poll(() => {
      unchanged = opened.length === loads ? unchanged + 1 : 0;
      loads = opened.length;
      return unchanged;
    })
    .toBe(2);
  expect([1, 2]).toContain(loads);
  await comeBack();
  await comeBack();
  expect(opened).toHaveLength(loads);
});

test("the address is that of the chat that is shown, wherever one has gone back and forward", async ({
  chat,
  page,
}) => {
  await chat.open("/");
  await chat.askAndWait("list the files");
  const first = await chat.chatId();
  await chat.newChat.click();
  await expect(chat.questions).toHaveCount(0);
  await chat.askAndWait("run: echo second");
  const second = await chat.chatId();
  const row = chat.chats.locator(`a[href="/chat/${second}"]`);
  await chat.open(`/chat/${first}`);
  await row.click();
  await expect(page).toHaveURL(`/chat/${second}`);
  await chat.newChat.click();
  await expect(page).toHaveURL("/");
  await page.goBack();
  await expect(page).toHaveURL(`/chat/${second}`);
  await page.goForward();
  await expect(page).toHaveURL("/");
  await expect(chat.questions).toHaveCount(0);

  await row.click();
  await expect(chat.questions).toHaveText(["run: echo second"]);
  await expect(page).toHaveURL(`/chat/${second}`);
  await page.goBack();
  await expect(page).toHaveURL("/");
  await expect(chat.questions).toHaveCount(0);
  await page.goForward();
  await expect(chat.questions).toHaveText(["run: echo second"]);
  await chat.reload();
  await expect(chat.questions).toHaveText(["run: echo second"]);
});

test("a chat is renamed where it stands", async ({ chat, page }) => {
  await chat.open("/");
  await chat.askAndWait("list the files");
  const item = chat.chats.getByRole("listitem").filter({ hasText: "list the files" });
  await item.hover();
  await item.getByRole("button", { name: /rename/i }).click();
  const title = chat.chats.getByRole("textbox");
  await title.fill("What is here");
  await title.press("Enter");
  await expect(chat.chats.getByRole("link", { name: "What is here" })).toBeVisible();
  await chat.reload();
  await expect(chat.chats.getByRole("link", { name: "What is here" })).toBeVisible();
  await expect(page).toHaveTitle(/What is here/);
});

test("the list of chats is searched by title", async ({ chat }) => {
  await chat.open("/");
  await chat.askAndWait("list the files");
  await chat.newChat.click();
  await chat.askAndWait("what do you remember?");
  const search = chat.chats.getByRole("searchbox", { name: "Search titles" });
  await search.fill("REMEMBER");
  const shown = chat.chats.locator('a[href^="/chat/"]');
  await expect(shown).toHaveText(["what do you remember?"]);
  // It is in an answer, and in no title.
  await search.fill("demo agent");
  await expect(shown).toHaveCount(0);
  await expect(chat.chats).toContainText("No chat has this in its title.");
});

test("the list of chats shows the latest first", async ({ chat, page }) => {
  await chat.open("/");
  await chat.askAndWait("list the files");
  await chat.newChat.click();
  await chat.askAndWait("what do you remember?");
  const listed = await call<{ title: string }[]>(page, "list_chats");
  expect(listed.body.map((chat) => chat.title)).toEqual(["what do you remember?", "list the files"]);
  const shown = await chat.chats.locator('a[href^="/chat/"]').allInnerTexts();
  expect(shown.map((title) => title.trim())).toEqual(listed.body.map((chat) => chat.title));
});

