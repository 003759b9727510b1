import { balance, call, messages, newTurnId, startTurn } from "../support/api.ts";
import { ChatPage, LONG_REQUEST, expect, test } from "../support/test.ts";

test("a double click on Send asks once", async ({ chat, page }) => {
  await chat.open("/");
  await chat.input.fill("list the files");
  await chat.send.dblclick();
  await chat.chatId();
  await chat.settled();
  await chat.reload();
  await expect(chat.questions).toHaveCount(1);
  await expect(chat.answers).toHaveCount(1);
  expect(await messages(page, await chat.chatId())).toHaveLength(2);
});

test("the same turn from two tabs is one answer and one debit", async ({ chat, page, context }) => {
  await chat.open("/");
  await chat.askAndWait("list the files");
  const chatId = await chat.chatId();
  const before = await balance(page);
  const other = await context.newPage();
  await other.goto("/");
  const turnId = newTurnId();
  const text = 'write twice.txt containing "once"';
  const answers = await Promise.all([
    startTurn(page, turnId, text, chatId),
    startTurn(other, turnId, text, chatId),
    startTurn(page, turnId, text, chatId),
  ]);
  expect(answers.map((answer) => answer.status)).toEqual([200, 200, 200]);

  await chat.reload();
  await chat.settled();
  const settled = await messages(page, chatId);
  expect(settled.filter((message) => message.turn_id === turnId)).toHaveLength(2);
  const charged = settled.at(-1)?.receipt?.charged ?? 0;
  expect(charged).toBeGreaterThan(0);
  expect(before.available - (await balance(page)).available).toBe(charged);
});

test.describe("two tabs on one chat", () => {
  test.use({ stackOptions: { paceMs: 25 } });

  test("the second tab sees the live turn, and stops it for both", async ({ chat, context }) => {
    await chat.open("/");
    await chat.ask(LONG_REQUEST);
    await chat.inTheMiddleOfText();
    const second = new ChatPage(await context.newPage());
    await second.open(`/chat/${await chat.chatId()}`);
    await second.inTheMiddleOfText();
    const length = (await second.prose()).length;
    await expect.poll(async () => (await second.prose()).length).toBeGreaterThan(length);
    await second.stop.click();
    await second.settled();
    await chat.settled();
    expect(await chat.prose()).toBe(await second.prose());
  });

  test("a tab that is open already sees at once what another one does", async ({
    chat,
    context,
    consoleGate,
  }) => {
    // The chat that is deleted at the end.
    consoleGate.allow(/404/);
    await chat.open("/");
    await chat.askAndWait("list the files");
    const second = new ChatPage(await context.newPage());
    await second.open(`/chat/${await chat.chatId()}`);
    const elsewhere = new ChatPage(await context.newPage());
    await elsewhere.open("/");
    const row = (tab: ChatPage, title: string) =>
      tab.chats.getByRole("listitem").filter({ hasText: title });
    // None of the tabs gets the focus from here on: pages of a test have it all the time.
    await chat.ask(LONG_REQUEST);
    await expect(second.questions).toHaveText(["list the files", LONG_REQUEST]);
    await second.inTheMiddleOfText();
    await expect(row(elsewhere, "list the files").getByLabel("running")).toBeVisible();
    await chat.stop.click();
    await second.settled();

    await row(chat, "list the files").hover();
    await row(chat, "list the files").getByRole("button", { name: /rename/i }).click();
    await chat.chats.getByRole("textbox").fill("The files");
    await chat.page.keyboard.press("Enter");
    await expect(row(elsewhere, "The files")).toBeVisible();
    await expect(second.page).toHaveTitle(/The files/);

    await elsewhere.askAndWait("what do you remember?");
    await expect(row(second, "what do you remember?")).toBeVisible();

    await row(chat, "The files").hover();
    await row(chat, "The files").getByRole("button", { name: /delete/i }).click();
    await chat.page.getByRole("dialog").getByRole("button", { name: /delete/i }).click();
    await expect(row(elsewhere, "The files")).toHaveCount(0);
    await expect(second.conversation).toContainText("Nothing here");
  });
});

test("complete_turn with forged numbers changes nothing", async ({ chat, page }) => {
  await chat.open("/");
  await chat.askAndWait("list the files");
  const chatId = await chat.chatId();
  const before = await balance(page);
  const recorded = await messages(page, chatId);
  const turn_id = recorded[0]?.turn_id;
  for (const output_tokens of [0, 999_999_999]) {
    const report = { input_tokens: output_tokens, output_tokens, duration_ms: 1 };
    const answer = await call(page, "complete_turn", { turn_id, report });
    expect(answer.status).toBe(200);
  }
  expect(await balance(page)).toEqual(before);
  expect(await messages(page, chatId)).toEqual(recorded);
});

test("complete_turn in the middle of a turn does not end it", async ({ chat, page }) => {
  await chat.open("/");
  await chat.ask("run: sleep 15; echo slept-well");
  const chatId = await chat.chatId();
  await expect(chat.lastAnswer.locator(".step").first()).toBeVisible();
  const turn_id = (await messages(page, chatId))[0]?.turn_id;
  const report = { input_tokens: 0, output_tokens: 0, duration_ms: 1 };
  const answer = await call<{ state: string }>(page, "complete_turn", { turn_id, report });
  expect(answer.body.state).toBe("running");
  await chat.settled();
  await expect(chat.lastAnswer).toContainText("slept-well");
});
