import type { Page } from "@playwright/test";
import { type PartUpdate, partUpdates } from "../support/stream.ts";
import { type ChatPage, LONG_REQUEST, expect, test } from "../support/test.ts";

test.use({ viewport: { width: 1200, height: 600 }, stackOptions: { paceMs: 25 } });

test("the end stays in view until the reader scrolls up, and again when he asks", async ({
  chat,
  page,
}) => {
  await chat.open("/");
  await chat.ask(LONG_REQUEST);
  await chat.inTheMiddleOfText(2_000);
  await isAtTheEnd(chat);
  await expect(chat.latest).toBeHidden();

  await chat.conversation.hover();
  await page.mouse.wheel(0, -300);
  await expect(chat.latest).toBeVisible();
  let place = -1;
  await expect
    .poll(async () => {
      const before = place;
      place = await top(chat);
      return place - before;
    })
    .toBe(0);
  const length = (await chat.prose()).length;
  await expect.poll(async () => (await chat.prose()).length).toBeGreaterThan(length + 500);
  expect(await top(chat), "what is read does not move").toBe(place);

  await chat.latest.click();
  await expect(chat.latest).toBeHidden();
  await expect(chat.conversation).toBeFocused();
  const now = (await chat.prose()).length;
  await expect.poll(async () => (await chat.prose()).length).toBeGreaterThan(now + 500);
  await isAtTheEnd(chat);
  await chat.stop.click();
  await chat.settled();
});

test("what unfolds near the end offers the way to the end", async ({ chat }) => {
  await chat.open("/");
  await chat.askAndWait("write a long markdown answer");
  await chat.askAndWait("run: seq 1 9");
  await isAtTheEnd(chat);
  const step = chat.lastAnswer.locator("details.step > summary").first();
  const before = await step.boundingBox();
  await step.click();
  await expect(chat.latest).toBeVisible();
  expect((await step.boundingBox())?.y, "it unfolds downwards").toBe(before?.y);
  await chat.latest.click();
  await isAtTheEnd(chat);
});

test("steps that the reader looks into do not fold when the answer goes on", async ({
  chat,
  page,
}) => {
  const release = await holdAtTheSecondStep(page);
  await chat.open("/");
  await chat.ask("write a small program, run it, and fix what fails");
  const run = chat.lastAnswer.locator("details.run:not(.single)").first();
  await run.locator("details.step > summary").first().click();
  release();
  await chat.settled();
  await expect(run, "it is being read").toHaveAttribute("open");
  const others = chat.lastAnswer.locator("details.run:not(.single):not([open])");
  const folded = await others.count();
  await run.locator("summary.fold").first().click();
  await expect(others).toHaveCount(folded + 1);
});

/** Holds the stream back where a run gets its second step, until the function it gives is called. */
async function holdAtTheSecondStep(page: Page): Promise<() => void> {
  let release = () => {};
  const released = new Promise<void>((resolve) => (release = resolve));
  await page.routeWebSocket(/\/session/, (socket) => {
    const server = socket.connectToServer();
    let before: PartUpdate["part"] | undefined;
    let held = false;
    server.onMessage(async (frame) => {
      if (held) await released;
      socket.send(frame);
      for (const { part } of partUpdates(JSON.parse(String(frame)))) {
        if ((part.type !== "text" && part.type !== "tool") || part.id === before?.id) continue;
        held ||= part.type === "tool" && before?.type === "tool";
        before = part;
      }
    });
  });
  return release;
}

async function top(chat: ChatPage): Promise<number> {
  return chat.conversation.evaluate((log) => log.scrollTop);
}

async function isAtTheEnd(chat: ChatPage): Promise<void> {
  const away = () =>
    chat.conversation.evaluate((log) => log.scrollHeight - log.scrollTop - log.clientHeight);
  await expect.poll(away).toBeLessThan(48);
}
