import { messages } from "../support/api.ts";
import { ChatPage, LONG_REQUEST, expect, test } from "../support/test.ts";
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
