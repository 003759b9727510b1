import { call, messages, newTurnId, startTurn } from "../support/api.ts";
import { ChatPage, LONG_REQUEST, expect, test } from "../support/test.ts";

test.describe("somebody else", () => {
  test.use({ stackOptions: { paceMs: 100 } });

  test("can't open, watch, stop, complete, rename, continue or delete a chat", async ({
    chat,
    page,
    otherPerson,
    consoleGate,
  }) => {
    consoleGate.allow(/Failed to load resource/);
    await chat.open("/");
    await chat.ask(LONG_REQUEST);
    await chat.inTheMiddleOfText();
    const chat_id = await chat.chatId();
    const turn_id = (await messages(page, chat_id))[0]?.turn_id;

    const stranger = new ChatPage(await otherPerson.newPage());
    await stranger.open("/");
    await stranger.askAndWait("list the files");
    const report = { input_tokens: 0, output_tokens: 0, duration_ms: 0 };
    const attempts: [string, object][] = [
      ["open_chat", { chat_id }],
      ["refresh_token", { chat_id }],
      ["rename_chat", { chat_id, title: "mine now" }],
      ["delete_chat", { chat_id }],
      ["turn_status", { turn_id }],
      ["stop_turn", { turn_id }],
      ["complete_turn", { turn_id, report }],
    ];
    for (const [name, body] of attempts) {
      const answer = await call(stranger.page, name, body);
      expect(answer, name).toMatchObject({ status: 404, body: { code: "not_found" } });
    }
    const started = await startTurn(stranger.page, newTurnId(), "list the files", chat_id);
    expect(started.status).toBe(404);

    const response = await stranger.page.goto(`/chat/${chat_id}`);
    expect(response?.status()).toBe(404);
    await expect(stranger.page.locator("body")).not.toContainText(LONG_REQUEST);
    await stranger.page.goto("/");
    await expect(stranger.chats).not.toContainText(LONG_REQUEST);

    await expect(chat.stop).toBeVisible();
    await chat.stop.click();
    await chat.settled();
  });
});

test("a page holds no token and no key, in its text or in storage", async ({ chat, page }) => {
  await chat.open("/");
  await chat.askAndWait("list the files");
  const html = await (await page.request.get(page.url())).text();
  const storage = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }]));
  for (const place of [html, storage, await page.content()]) {
    expect(place).not.toMatch(/eyJ[\w-]+\.[\w-]+/);
    expect(place).not.toMatch(/orch_(prod|sign)_/);
  }
  const cookies = await page.context().cookies();
  for (const cookie of cookies) expect(cookie.httpOnly, cookie.name).toBe(true);
  expect(await page.evaluate(() => document.cookie)).toBe("");
});

test("another site can't act for the person", async ({ chat, page, stack, playwright }) => {
  await chat.open("/");
  await chat.askAndWait("list the files");
  const cookies = await page.context().cookies();
  const cookie = cookies.map(({ name, value }) => `${name}=${value}`).join("; ");
  const elsewhere = await playwright.request.newContext();
  const answer = await elsewhere.post(`${stack.url}/api/list_chats`, {
    headers: {
      cookie,
      origin: "http://evil.example",
      "sec-fetch-site": "cross-site",
      "content-type": "application/json",
    },
    data: "{}",
  });
  expect(answer.status()).toBe(403);
  await elsewhere.dispose();
});
