import { messages } from "../support/api.ts";
import { ChatPage, LONG_REQUEST, expect, test } from "../support/test.ts";
import { goOfflineInAnAnswer } from "../support/offline.ts";
import type { FaultProxy } from "../support/fault-proxy.ts";

test.describe("when the network to the gateway breaks in the middle of an answer", () => {
  test.use({ stackOptions: { paceMs: 25, breakable: true } });

  test.beforeEach(async ({ consoleGate }) => {
    consoleGate.allow(/WebSocket connection to .* failed/);
  });

  test("a cut and its repair cost no character", async ({ chat, stack }) => {
    const network = required(stack.network);
    await chat.open("/");
    await chat.ask(LONG_REQUEST);
    await chat.inTheMiddleOfText();
    network.cut();
    await expect(chat.page.getByText(/connection lost/i).first()).toBeVisible();
    network.restore();
    await chat.settled();
    await isWhatWasRecorded(chat);
  });

  test("many short breaks cost no character", async ({ chat, stack }) => {
    const network = required(stack.network);
    await chat.open("/");
    await chat.ask(LONG_REQUEST);
    await chat.inTheMiddleOfText(200);
    for (let connections = 1; connections <= 4; connections += 1) {
      await expect.poll(() => network.open).toBeGreaterThan(0);
      network.reset();
      await expect.poll(() => network.accepted).toBeGreaterThan(connections);
    }
    await expect(chat.stop).toBeVisible();
    await chat.settled();
    await isWhatWasRecorded(chat);
  });

  test("a line that goes dead without a word is noticed, and nothing is lost", async ({
    chat,
    stack,
  }) => {
    test.slow();
    const network = required(stack.network);
    await chat.open("/");
    await chat.ask(LONG_REQUEST);
    await chat.inTheMiddleOfText();
    network.swallow();
    // The gateway can't be reached until the end; the server can.
    await chat.settled();
    await isWhatWasRecorded(chat);
    network.restore();
    await chat.askAndWait("list the files");
  });

  test("an answer that ends while the line is down is there when it is back", async ({
    chat,
    stack,
    page,
  }) => {
    const network = required(stack.network);
    await chat.open("/");
    await chat.ask(LONG_REQUEST);
    await chat.inTheMiddleOfText(200);
    network.cut();
    const chatId = await chat.chatId();
    // Nobody watches, and it is settled all the same.
    await expect.poll(async () => (await messages(page, chatId)).length, { timeout: 90_000 }).toBe(2);
    network.restore();
    await chat.settled();
    await isWhatWasRecorded(chat);
  });
});

test("a gateway that refuses for good is left alone until the person asks", async ({
  chat,
  page,
}) => {
  let refusing = true;
  let connections = 0;
  await page.routeWebSocket(/\/session/, (socket) => {
    connections += 1;
    if (refusing) void socket.close({ code: 4404, reason: "unknown session" });
    else socket.connectToServer();
  });
  const asked: string[] = [];
  page.on("request", (request) => asked.push(new URL(request.url()).pathname));
  const count = (name: string) => asked.filter((path) => path === `/api/${name}`).length;

  await chat.open("/");
  await chat.ask("run: sleep 45; echo seen-after-all");
  const strip = page.locator(".strip");
  await expect(strip).toContainText("connection to the agent is lost");
  const before = { tokens: count("refresh_token"), questions: count("turn_status") };
  await page.waitForTimeout(6_000);
  expect(connections).toBe(1);
  expect(count("refresh_token")).toBe(before.tokens);
  // After one second, and three, and seven.
  expect(count("turn_status") - before.questions).toBeLessThanOrEqual(3);

  await page.getByRole("button", { name: "Reconnect now" }).click();
  await expect.poll(() => connections).toBe(2);
  expect(count("refresh_token")).toBe(before.tokens + 1);
  await expect(strip).toContainText("connection to the agent is lost");
  await expect(chat.lastAnswer.locator(".step")).toHaveCount(0);

  refusing = false;
  await page.getByRole("button", { name: "Reconnect now" }).click();
  await expect(chat.lastAnswer.locator(".step").first()).toBeVisible();
  await expect(chat.stop).toBeVisible();
  await chat.settled();
  await expect(chat.lastAnswer).toContainText("seen-after-all");
});

test.describe("when the browser is offline", () => {
  test.use({ stackOptions: { paceMs: 25 } });

  test("the page says so, with and without an answer under way", async ({
    chat,
    page,
    context,
    consoleGate,
  }) => {
    const strip = page.locator(".strip");
    await chat.open("/");
    await context.setOffline(true);
    await expect(strip).toContainText("You are offline. What you write is kept");
    await context.setOffline(false);
    await expect(strip).toBeHidden();
    await goOfflineInAnAnswer(chat, context, consoleGate);
    await expect(strip).toContainText("You are offline. The answer goes on");
    await context.setOffline(false);
    await expect(strip.filter({ hasText: "You are offline" })).toHaveCount(0);
    await chat.settled();
    await isWhatWasRecorded(chat);
  });
});

test("a message that is sent without a network waits, says so, and leaves when there is one", async ({
  chat,
  page,
  context,
  consoleGate,
}) => {
  consoleGate.allow(/Failed to load resource/);
  const strip = page.locator(".strip");
  await chat.open("/");
  await context.setOffline(true);
  await chat.ask("list the files");
  await expect(strip).toContainText("Your message is kept here and sent when you are back");
  await expect(chat.lastAnswer).toContainText("Waiting for the connection");
  // Longer than it is tried where the network is there and only the server is away.
  await page.waitForTimeout(9_000);
  await expect(chat.questions).toHaveText(["list the files"]);
  await context.setOffline(false);
  await chat.settled();
  await expect(chat.lastAnswer).toContainText("The workspace is empty");
});

test("a chat that is followed to without a network opens when there is one", async ({
  chat,
  context,
  consoleGate,
}) => {
  consoleGate.allow(/Failed to load resource/);
  await chat.open("/");
  await chat.askAndWait("list the files");
  await chat.newChat.click();
  await chat.reload();
  await context.setOffline(true);
  await chat.chats.getByRole("link", { name: "list the files" }).click();
  await expect(chat.conversation).toContainText("This chat opens as soon as you are back");
  await expect(chat.conversation).not.toContainText("could not be opened");
  await expect(chat.sandbox, "nobody knows whether it has one").toBeHidden();
  await context.setOffline(false);
  await expect(chat.questions).toHaveText(["list the files"]);
  await expect(chat.sandbox).toContainText("Sandbox running");
});

test("an answer whose end can't be told to the server says so, until it can", async ({
  chat,
  page,
  consoleGate,
}) => {
  consoleGate.allow(/Failed to load resource/);
  let away = true;
  await page.route("**/api/complete_turn", (route) => (away ? route.abort() : route.continue()));
  await chat.open("/");
  await chat.ask("run: sleep 8; echo done");
  await expect(chat.lastAnswer.locator(".step").first()).toBeVisible();
  const strip = page.locator(".strip");
  await expect(strip).toContainText("The answer is here");
  await strip.getByRole("button", { name: "Dismiss" }).click();
  await expect(chat.input).toBeFocused();
  await expect(strip).toContainText("The answer is here");
  away = false;
  await chat.settled();
  await expect(strip).toBeHidden();
});

/** What was put together from the stream is what the server has on record. */
async function isWhatWasRecorded(chat: ChatPage): Promise<void> {
  const streamed = await chat.prose();
  expect(streamed.length).toBeGreaterThan(500);
  await chat.reload();
  expect(await chat.prose()).toBe(streamed);
}

function required(network: FaultProxy | undefined): FaultProxy {
  if (!network) throw new Error("the stack was started without a network to break");
  return network;
}
