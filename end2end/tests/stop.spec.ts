import { balance, call, messages } from "../support/api.ts";
import { goOfflineInAnAnswer } from "../support/offline.ts";
import { LONG_REQUEST, expect, test } from "../support/test.ts";

test.use({ stackOptions: { paceMs: 25 } });

test("stop, then reload: the partial answer is kept, marked, and charged for what it is", async ({
  chat,
  page,
}) => {
  await chat.open("/");
  const before = await balance(page);
  await chat.ask(LONG_REQUEST);
  await chat.inTheMiddleOfText();
  await chat.stop.click();
  await chat.settled();
  await expect(chat.send).toBeVisible();
  await expect(chat.lastAnswer.locator(".ending")).toContainText(/stopped/i);
  const kept = await chat.prose();
  expect(kept.length).toBeGreaterThan(300);

  await chat.reload();
  expect(await chat.prose()).toBe(kept);
  await expect(chat.lastAnswer.locator(".ending")).toContainText(/stopped/i);

  const [, answer] = await messages(page, await chat.chatId());
  expect(answer?.state).toBe("stopped");
  const after = await balance(page);
  const charged = before.available - after.available;
  expect(charged).toBe(answer?.receipt?.charged);
  expect(charged).toBeGreaterThan(0);
  // 500 credits a million tokens, a token for every four bytes that it wrote, thinking included;
  // and as much again for what it read.
  const written = answer?.parts.reduce((sum, part) => sum + (part.text?.length ?? 0), 0) ?? 0;
  expect(written).toBeLessThan(kept.length * 2);
  expect(charged).toBeLessThan((written / 4) * 500 * 2);
  expect(after.held).toBe(0);
});

test("stop while the message is on its way shows at once", async ({ chat, page }) => {
  let release = () => {};
  const held = new Promise<void>((resolve) => (release = resolve));
  await page.route("**/api/start_turn", async (route) => {
    await held;
    await route.continue();
  });
  await chat.open("/");
  await chat.ask("run: sleep 600");
  await chat.stop.click();
  await expect(page.locator(".strip")).toContainText("Stopping…");
  release();
  await chat.settled();
  await expect(chat.lastAnswer.locator(".ending")).toContainText(/stopped/i);
});

test("stop while the server can't be reached keeps the message here", async ({
  chat,
  page,
  consoleGate,
}) => {
  consoleGate.allow(/Failed to load resource/);
  let tries = 0;
  await page.route("**/api/start_turn", async (route) => {
    tries += 1;
    await route.abort();
  });
  await chat.open("/");
  await chat.ask("list the files");
  await expect(page.locator(".strip")).toContainText("Trying again");
  await chat.stop.click();
  await expect(chat.input).toHaveValue("list the files");
  await expect(chat.send).toBeVisible();
  await expect(chat.questions).toHaveCount(0);
  const before = tries;
  await page.waitForTimeout(5_000);
  expect(tries, "it is not sent after all").toBe(before);
  expect((await call<unknown[]>(page, "list_chats")).body).toEqual([]);
});

test("stop right after sending ends the turn", async ({ chat, page, consoleGate }) => {
  consoleGate.allow(/closed before the connection is established/);
  await chat.open("/");
  await chat.ask(LONG_REQUEST);
  await chat.stop.click();
  await chat.settled();
  await chat.reload();
  await expect(chat.stop).toBeHidden();
  expect((await balance(page)).held).toBe(0);
  await chat.askAndWait("list the files");
});

test("stop ends a command that runs for long", async ({ chat }) => {
  await chat.open("/");
  await chat.ask("run: sleep 600");
  await expect(chat.lastAnswer.locator(".step").first()).toBeVisible();
  await chat.stop.click();
  await chat.settled();
  await expect(chat.lastAnswer.locator(".ending")).toContainText(/stopped/i);
  await chat.askAndWait("run: pgrep -c sleep || echo nobody-sleeps");
  await expect(chat.lastAnswer).toContainText("nobody-sleeps");
});

test("stop after a reload reaches the same turn", async ({ chat }) => {
  await chat.open("/");
  await chat.ask(LONG_REQUEST);
  await chat.inTheMiddleOfText();
  await chat.reload();
  await chat.stop.click();
  await chat.settled();
  await expect(chat.lastAnswer.locator(".ending")).toContainText(/stopped/i);
});

test("retry asks the same again, and the question stands there once", async ({ chat }) => {
  await chat.open("/");
  await chat.ask(LONG_REQUEST);
  await chat.inTheMiddleOfText();
  await chat.stop.click();
  await chat.settled();
  const kept = await chat.prose();
  await chat.retry.click();
  await expect(chat.answers).toHaveCount(2);
  await chat.inTheMiddleOfText();
  await expect(chat.questions).toHaveText([LONG_REQUEST]);
  expect(await chat.prose(chat.answers.first()), "what was charged for stays").toBe(kept);
  await chat.stop.click();
  await chat.settled();
  await chat.reload();
  await expect(chat.questions).toHaveText([LONG_REQUEST]);
  await expect(chat.answers).toHaveCount(2);
});

test("stop without a network says when it happens, and happens then", async ({
  chat,
  page,
  context,
  consoleGate,
}) => {
  const strip = page.locator(".strip");
  await chat.open("/");
  await goOfflineInAnAnswer(chat, context, consoleGate);
  await expect(strip).toContainText("The answer goes on without you");
  await chat.stop.click();
  await expect(strip).toContainText("The answer is stopped as soon as you are back");
  // Longer than a stop is tried where the network is there and only the server is away.
  await page.waitForTimeout(4_000);
  await expect(strip).toContainText("The answer is stopped as soon as you are back");
  await context.setOffline(false);
  await chat.settled();
  await expect(chat.lastAnswer.locator(".ending")).toContainText(/stopped/i);
});
