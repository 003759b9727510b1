import { call, messages, newTurnId } from "../support/api.ts";
import { LONG_CHANGE, QUESTION, openWith } from "../support/cards.ts";
import { holdStream } from "../support/stream.ts";
import { ChatPage, expect, test } from "../support/test.ts";

/** The demo agent asks this, with three options. */
const ASK = "ask me which colour to use: red, green or blue";
const RUN = "run: echo permitted > proof.txt; cat proof.txt";

test.use({ stackOptions: { paceMs: 25 } });

// The page sends an answer again that a busy machine did not hand over in time.
test.beforeEach(async ({ consoleGate }) => consoleGate.allow(/503.*answer_interaction/));

test("a question is answered with the keyboard alone, and the answer stands there after a reload", async ({
  chat,
  page,
}) => {
  await chat.open("/");
  await chat.input.fill(ASK);
  await page.keyboard.press("Enter");
  await expect(chat.card).toBeVisible();
  await expect(chat.strip).toContainText("Waiting for your answer");
  await expect(page.locator("p[role=status]")).toContainText("The agent asks:");
  await expect(chat.card, "nothing else had the focus").toBeFocused();
  const first = chat.card.getByRole("radio", { name: "red" });
  await page.keyboard.press("Tab");
  await expect(first).toBeFocused();
  await page.keyboard.press("Enter");
  await expect(chat.card.locator(".problem"), "nothing is chosen by itself").toBeVisible();
  await page.keyboard.press("Space");
  await expect(first).toBeChecked();
  await page.keyboard.press("Enter");
  await expect(chat.asked.locator(".came-of")).toHaveText("· red");
  await expect(chat.card).toHaveCount(0);
  await chat.settled();
  await expect(page.getByText("Waiting for your answer")).toHaveCount(0);
  await expect(chat.input, "the focus is where one goes on").toBeFocused();
  const line = await chat.asked.locator("summary").innerText();

  await chat.reload();
  await expect(chat.asked.locator("summary")).toHaveText(line, { useInnerText: true });
  await chat.asked.locator("summary").click();
  await expect(chat.asked.getByRole("radio", { checked: true })).toHaveCount(1);
  await expect(chat.asked.getByRole("radio").first()).toBeDisabled();
});

test("what was filled in survives a reload, and the question does without scripts", async ({
  chat,
  page,
  browser,
}) => {
  await chat.open("/");
  await chat.ask(ASK);
  const blue = chat.card.getByRole("radio", { name: "blue" });
  await blue.check();
  await chat.reload();
  await expect(chat.card).toHaveCount(1);
  await expect(blue).toBeChecked();

  const withoutScripts = await browser.newContext({
    javaScriptEnabled: false,
    storageState: await page.context().storageState(),
  });
  const still = new ChatPage(await withoutScripts.newPage());
  // The server does not wait long to hear what an agent asks.
  await expect(async () => {
    await still.page.goto(page.url());
    await expect(still.card).toBeVisible({ timeout: 1_000 });
  }).toPass();
  await expect(still.card.locator(".no-js")).toBeVisible();
  await expect(still.card.getByRole("button", { name: "Answer" })).toBeHidden();
  await withoutScripts.close();

  await chat.card.getByRole("button", { name: "Answer" }).click();
  await chat.settled();
  await expect(chat.asked.locator(".came-of")).toHaveText("· blue");
});

test.describe("while the answer so far comes back before the question", () => {
  const WORDS = "ask me what the word is";

  test("what is written since a reload stays, and so does the focus", async ({ chat, page }) => {
    await chat.open("/");
    await chat.ask(WORDS);
    await expect(chat.card).toBeVisible();
    const release = await holdStream(page);
    // The server does not wait long to hear what an agent asks.
    await expect(async () => {
      await chat.reload();
      await expect(chat.card).toBeVisible({ timeout: 1_000 });
    }).toPass();
    const field = chat.card.getByRole("textbox");
    await field.click();
    const before = await field.elementHandle();
    for (const letter of "open ") {
      await page.keyboard.type(letter);
      release(2);
    }
    release();
    await expect(chat.lastAnswer.locator(".prose + .ask")).toBeVisible();
    await expect(chat.lastAnswer).toContainText("demo agent");
    await page.keyboard.type("sesame");
    await expect(field).toHaveValue("open sesame");
    await expect(field).toBeFocused();
    expect(await before?.evaluate((element) => element.isConnected), "the same field").toBe(true);
    await page.keyboard.press("Enter");
    await chat.settled();
    await expect(chat.asked).toHaveCount(1);
    await expect(chat.asked.locator(".came-of")).toHaveText("· open sesame");
  });

  test("a secret stays, too, and is kept nowhere", async ({ chat, page }) => {
    await chat.open("/");
    await chat.ask(WORDS);
    await expect(chat.card).toBeVisible();
    const row = chat.chats.locator(`a[href="/chat/${await chat.chatId()}"]`);
    // For this page the word is a secret, which the agent's service tells nobody.
    const secret = (text: string) =>
      text
        .replaceAll('"kind":"text"', '"kind":"secret"')
        .replaceAll('"answer":{"q1":"open sesame"}', '"answer":{}');
    await page.route(/\/api\/(open_chat|complete_turn)$/, async (route) => {
      const response = await route.fetch();
      await route.fulfill({ response, body: secret(await response.text()) });
    });
    const release = await holdStream(page, secret);
    await expect(async () => {
      await chat.open("/");
      await row.click();
      await expect(chat.card).toBeVisible({ timeout: 1_000 });
    }).toPass();
    const field = chat.card.getByPlaceholder(/kept nowhere/);
    await field.click();
    await page.keyboard.type("open ");
    // All at once: what was thought, what was said, and the question.
    release();
    await expect(chat.lastAnswer).toContainText("demo agent");
    await page.keyboard.type("sesame");
    await expect(field).toHaveValue("open sesame");
    await expect(field).toBeFocused();
    const kept = await page.evaluate(() => JSON.stringify([sessionStorage, localStorage]));
    expect(kept).not.toContain("sesame");
    await page.keyboard.press("Enter");
    await chat.settled();
    await expect(chat.asked.locator(".came-of")).toHaveText("· answered");
    await expect(chat.asked.getByPlaceholder(/kept nowhere/), "nor on the page").toHaveValue("");
  });
});

test("another tab shows the question at once, and its answer settles both", async ({
  chat,
  context,
}) => {
  await chat.open("/");
  await chat.ask(ASK);
  await expect(chat.card).toBeVisible();
  const other = new ChatPage(await context.newPage());
  await other.open(`/chat/${await chat.chatId()}`);
  await expect(other.card).toBeVisible();
  await expect(other.chats.getByLabel("waiting for your answer")).toBeVisible();
  await other.card.getByRole("radio", { name: "green" }).check();
  await other.card.getByRole("button", { name: "Answer" }).click();
  await expect(chat.asked.locator(".came-of")).toHaveText("· green");
  await expect(chat.card).toHaveCount(0);
  await chat.settled();
  await other.settled();
  const line = await chat.asked.locator("summary").innerText();
  await expect(other.asked.locator("summary")).toHaveText(line, { useInnerText: true });
});

test("own words are as good as an option, and a question without options takes nothing else", async ({
  chat,
  page,
}) => {
  await chat.open("/");
  await chat.ask(ASK);
  await chat.card.getByPlaceholder("Something else…").fill("dark orange");
  await expect(chat.card.getByRole("radio", { name: "Something else" })).toBeChecked();
  await page.keyboard.press("Enter");
  await chat.settled();
  await expect(chat.asked.locator(".came-of")).toHaveText("· dark orange");
  await expect(chat.lastAnswer).toContainText("You answered dark orange.");

  await chat.ask("ask me what my name is");
  await chat.card.getByRole("textbox").fill("Ada");
  await page.keyboard.press("Enter");
  await chat.settled();
  await expect(chat.asked.last().locator(".came-of")).toHaveText("· Ada");
});

test("a question that is skipped lets the agent go on", async ({ chat }) => {
  await chat.open("/");
  await chat.ask(ASK);
  await chat.card.getByRole("button", { name: "Skip" }).click();
  await chat.settled();
  await expect(chat.asked.locator(".came-of")).toHaveText("· skipped");
});

test("stop while the agent waits takes the question back", async ({ chat }) => {
  await chat.open("/");
  await chat.ask(ASK);
  await expect(chat.card).toBeVisible();
  await chat.stop.click();
  await chat.settled();
  await expect(chat.asked.locator(".came-of")).toHaveText("· not answered");
  await chat.reload();
  await expect(chat.asked.locator(".came-of")).toHaveText("· not answered");
  await chat.askAndWait("list the files");
});

test("what one types for later is no answer", async ({ chat, page }) => {
  await chat.open("/");
  await chat.ask(ASK);
  await expect(chat.card).toBeVisible();
  await chat.input.fill("yes, go on");
  await page.keyboard.press("Enter");
  await page.waitForTimeout(500);
  await expect(chat.card).toBeVisible();
  await expect(chat.input).toHaveValue("yes, go on");
});

test("somebody else can't answer", async ({ chat, page, otherPerson, consoleGate }) => {
  consoleGate.allow(/404/);
  await chat.open("/");
  let asked: object = {};
  await page.route("**/api/answer_interaction", async (route) => {
    asked = route.request().postDataJSON() as object;
    await route.abort();
  });
  consoleGate.allow(/Failed to load resource/);
  await chat.ask(ASK);
  await chat.card.getByRole("radio", { name: "red" }).check();
  await chat.card.getByRole("button", { name: "Answer" }).click();
  await expect(chat.card.locator(".problem")).toContainText("kept");

  const eve = new ChatPage(await otherPerson.newPage());
  await eve.open("/");
  await eve.askAndWait("hello");
  expect((await call(eve.page, "answer_interaction", asked)).status).toBe(404);
  expect((await call(eve.page, "answer_interaction", { ...asked, turn_id: newTurnId() })).status)
    .toBe(404);
  await expect(chat.card, "it still waits").toBeVisible();
  await page.unrouteAll();
  await chat.card.getByRole("button", { name: "Answer" }).click();
  await chat.settled();
  await expect(chat.asked).toHaveCount(1);
});

test.describe("an agent that asks first", () => {
  test("runs a command once it is allowed, and the choice stays with the chat", async ({
    chat,
    page,
  }) => {
    await chat.open("/");
    await chat.permit("Ask first");
    const line = page.getByRole("button", { name: /Permissions/ });
    await expect(line).toHaveText(/Ask first/);
    await chat.ask(RUN);
    await expect(chat.card).toContainText("echo permitted > proof.txt");
    await page.keyboard.press("Enter");
    await expect(chat.card, "nobody permits by a slip").toBeVisible();
    await chat.card.getByRole("button", { name: "Allow once" }).click();
    await expect(chat.asked.first().locator(".came-of")).toHaveText("· allowed once");
    await chat.settled();
    await expect(chat.lastAnswer).toContainText("permitted");
    await chat.reload();
    await expect(line).toHaveText(/Ask first/);
    const [, answer] = await messages(page, await chat.chatId());
    expect(answer?.parts.map(({ type }) => type)).toContain("interaction");

    await chat.newChat.click();
    await expect(line, "new chats begin with it").toHaveText(/Ask first/);
  });

  test("goes on without what is denied", async ({ chat }) => {
    await chat.open("/");
    await chat.permit("Ask first");
    await chat.ask(RUN);
    await chat.card.getByRole("button", { name: "Deny" }).click();
    await chat.settled();
    await expect(chat.asked.first().locator(".came-of")).toHaveText("· denied");
    await chat.permit("Allow everything");
    await chat.askAndWait("run: cat proof.txt || echo nothing-was-written");
    await expect(chat.lastAnswer).toContainText("nothing-was-written");
    await expect(chat.asked, "no further question").toHaveCount(1);
  });

  test("asks again when the same is asked again, be it after a reload", async ({ chat }) => {
    await chat.open("/");
    await chat.permit("Ask first");
    await chat.ask(RUN);
    await chat.card.getByRole("button", { name: "Deny" }).click();
    await chat.settled();
    await chat.reload();
    await chat.retry.click();
    await expect(chat.card).toContainText("echo permitted > proof.txt");
    await chat.card.getByRole("button", { name: "Deny" }).click();
    await chat.settled();
    await expect(chat.lastAnswer.locator(".came-of")).toHaveText("· denied");
  });

  test("asks no more for what is allowed for the chat", async ({ chat }) => {
    await chat.open("/");
    await chat.permit("Ask first");
    await chat.ask(RUN);
    await chat.card.getByRole("button", { name: "Allow for this chat" }).click();
    await chat.settled();
    await expect(chat.asked.first().locator(".came-of")).toHaveText("· allowed for this chat");
    await chat.askAndWait("run: echo once more");
    await expect(chat.lastAnswer.locator(".ask")).toHaveCount(0);
  });
});

test("an answer that came too late is told so, and what it was for closes", async ({
  chat,
  page,
  consoleGate,
}) => {
  consoleGate.allow(/410/);
  await chat.open("/");
  await chat.askAndWait("list the files");
  await openWith(page, await chat.chatId(), [QUESTION]);
  await chat.card.getByRole("radio", { name: /Postgres/ }).check();
  await chat.card.getByRole("button", { name: "Answer" }).click();
  await expect(chat.asked.locator(".came-of")).toHaveText("· not answered");
});

test.describe("on a phone", () => {
  test.use({ viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true });

  test("a card fits, and everything on it can be touched", async ({ chat }) => {
    await chat.open("/");
    await chat.ask(ASK);
    await expect(chat.card).toBeVisible();
    for (const target of await chat.card.locator("button, .option").all()) {
      await expect(target).toBeInViewport();
      expect((await target.boundingBox())?.height).toBeGreaterThanOrEqual(44);
    }
    expect(await chat.overflow()).toEqual({ page: 0, conversation: 0 });
    await expect(chat.input, "the focus stays where the person is").toBeFocused();
  });

  test("a long change is read to its end before it is allowed", async ({ chat, page }) => {
    await chat.open("/");
    await chat.askAndWait("list the files");
    await openWith(page, await chat.chatId(), [LONG_CHANGE]);
    await expect(chat.card.locator(".output pre")).toHaveText(LONG_CHANGE.request.subject ?? "");
    const body = chat.card.locator(".prose");
    const end = body.getByText("The end of it.");
    await expect(end).not.toBeInViewport();
    await body.focus();
    await page.keyboard.press("End");
    await expect(end).toBeInViewport({ ratio: 0.9 });
    const lines = (await body.locator("code").innerText()).trimEnd().split("\n");
    expect(lines).toHaveLength(900);
    expect((await body.boundingBox())?.height, "a part of the page").toBeLessThanOrEqual(422);
    const wider = await chat.card
      .locator("pre, .prose")
      .evaluateAll((all) => all.filter((box) => box.scrollWidth > box.clientWidth).length);
    expect(wider, "nothing is read sideways").toBe(0);
    expect(await chat.overflow()).toEqual({ page: 0, conversation: 0 });
    for (const name of ["Allow once", "Allow for this chat", "Deny"]) {
      const button = chat.card.getByRole("button", { name, exact: true });
      await button.scrollIntoViewIfNeeded();
      await expect(button).toBeInViewport();
    }
  });
});
