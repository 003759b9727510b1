import { balance, messages } from "../support/api.ts";
import { LONG_REQUEST, expect, test } from "../support/test.ts";

test.describe("the orchestrator runs beside the server", () => {
  test.use({ stackOptions: { paceMs: 25, orchestrator: "separate" } });

  test.beforeEach(async ({ consoleGate }) => {
    consoleGate.allow(/WebSocket connection to .* failed/, /Failed to load resource/);
  });

  test("the server is killed and restarted in the middle: the answer goes on", async ({
    chat,
    stack,
    page,
  }) => {
    await chat.open("/");
    await chat.ask(LONG_REQUEST);
    await chat.inTheMiddleOfText();
    await stack.server.kill();
    await stack.startServer();
    await chat.settled();
    const streamed = await chat.prose();
    await chat.reload();
    expect(await chat.prose()).toBe(streamed);
    const settled = await messages(page, await chat.chatId());
    expect(settled.map((message) => [message.role, message.state])).toEqual([
      ["user", "complete"],
      ["assistant", "complete"],
    ]);
    expect((await balance(page)).held).toBe(0);
  });

  test("the server is down when the answer ends: the turn is settled when it is back", async ({
    chat,
    stack,
    page,
  }) => {
    await chat.open("/");
    await chat.ask("run: sleep 2; echo finished-meanwhile");
    await expect(chat.lastAnswer.locator(".step").first()).toBeVisible();
    await stack.server.kill();
    await page.waitForTimeout(5_000);
    await stack.startServer();
    await chat.settled();
    await expect(chat.lastAnswer).toContainText("finished-meanwhile");
    expect((await balance(page)).held).toBe(0);
    const [, answer] = await messages(page, await chat.chatId());
    expect(answer?.state).toBe("complete");
    expect(answer?.receipt?.charged).toBeGreaterThan(0);
  });

  test("the orchestrator is killed and restarted in the middle: the turn ends in words", async ({
    chat,
    stack,
    page,
  }) => {
    await chat.open("/");
    const before = await balance(page);
    await chat.ask(LONG_REQUEST);
    await chat.inTheMiddleOfText();
    const read = await chat.prose();
    await stack.orchestrator?.kill();
    await stack.startOrchestrator();
    await chat.settled();
    await expect(chat.lastAnswer.locator(".ending")).toContainText(/cut off|interrupted/i);
    expect(await chat.prose()).toContain(read.slice(0, 200));
    expect((await balance(page)).available, "what we broke costs nothing").toBe(before.available);

    await chat.askAndWait("list the files");
    await expect(chat.answers).toHaveCount(2);
  });

  test("a turn that was cut off is asked again in its place", async ({ chat, stack, page }) => {
    await chat.open("/");
    await chat.ask("run: sleep 15; echo finished-after-all");
    await expect(chat.lastAnswer.locator(".step").first()).toBeVisible();
    await stack.orchestrator?.kill();
    await stack.startOrchestrator();
    await chat.settled();
    await expect(chat.lastAnswer.locator(".ending")).toContainText(/cut off/i);
    const before = await balance(page);
    await chat.retry.click();
    await expect(chat.conversation).not.toContainText(/cut off/i);
    await expect(chat.lastAnswer).toContainText("finished-after-all", { timeout: 60_000 });
    await chat.settled();
    for (const look of ["at once", "after a reload"]) {
      await expect(chat.questions, look).toHaveCount(1);
      await expect(chat.answers, look).toHaveCount(1);
      await chat.reload();
    }
    // The history has both, and only the one that succeeded was charged for.
    const kept = await messages(page, await chat.chatId());
    expect(kept.map((message) => message.state)).toEqual([
      "complete",
      "interrupted",
      "complete",
      "complete",
    ]);
    const charged = kept.at(-1)?.receipt?.charged ?? 0;
    expect(before.available - (await balance(page)).available).toBe(charged);
  });

  test("the orchestrator stays away: the page says so and offers a way on", async ({
    chat,
    stack,
  }) => {
    await chat.open("/");
    await chat.askAndWait("list the files");
    await stack.orchestrator?.kill();
    await chat.ask("list the files again");
    await expect(chat.page.getByText(/does not answer/).first()).toBeVisible();
    await expect(chat.stop, "giving up is possible").toBeVisible();
    await stack.startOrchestrator();
    await chat.settled();
    await expect(chat.lastAnswer.locator(".ending")).toHaveCount(0);
  });
});

test.describe("the orchestrator runs inside the server", () => {
  test.use({ stackOptions: { paceMs: 25 } });

  test("both are killed and restarted in the middle: the turn ends in words", async ({
    chat,
    stack,
    consoleGate,
    page,
  }) => {
    consoleGate.allow(/WebSocket connection to .* failed/, /Failed to load resource/);
    await chat.open("/");
    const before = await balance(page);
    await chat.ask(LONG_REQUEST);
    await chat.inTheMiddleOfText();
    await stack.server.kill();
    await stack.startServer();
    await chat.settled();
    await expect(chat.lastAnswer.locator(".ending")).toContainText(/cut off|interrupted/i);
    expect(await balance(page)).toMatchObject({ available: before.available, held: 0 });
  });

  test("files written before a restart are there after it", async ({ chat, stack }) => {
    await chat.open("/");
    await chat.askAndWait('write notes.txt containing "still here"');
    await stack.server.stop();
    await stack.startServer();
    await chat.reload();
    await chat.askAndWait("show me notes.txt");
    await expect(chat.lastAnswer).toContainText("still here");
  });
});
