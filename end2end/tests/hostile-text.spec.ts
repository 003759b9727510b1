import type { Page } from "@playwright/test";
import { type PartUpdate, partUpdates } from "../support/stream.ts";
import { ChatPage, expect, test } from "../support/test.ts";

const HOSTILE = [
  "<script>window.harmed = 1</script>",
  '<img src="x" onerror="window.harmed = 2">',
  '<svg onload="window.harmed = 3"><a xlink:href="javascript:window.harmed=4">x</a></svg>',
  "[click me](javascript:window.harmed=5) [and me](JaVaScRiPt&#58;window.harmed=6)",
  "[data](data:text/html,<script>window.harmed=7</script>) <a href=\"vbscript:x\">v</a>",
  "![picture](https://tracker.example/pixel.png)",
  "</div></article></main><style>body{display:none}</style>",
  "<iframe srcdoc='<script>parent.harmed=8</script>'></iframe><form action=/><input></form>",
  "| a | b\n|--|--\n| <b>unclosed",
  "```html\n<script>window.harmed = 9</script>\n```",
].join("\n\n");

test("markdown that means harm is harmless while it streams", async ({ chat, page }) => {
  await replaceAnswersInTheStream(page, HOSTILE);
  await chat.open("/");
  await chat.ask("run: echo before; sleep 60; echo after");
  await expect(chat.lastAnswer).toContainText("click me");
  await staysHarmless(chat);
  await chat.stop.click();
  await chat.settled();
  await staysHarmless(chat);
});

test("harmful text that a person sends or a command prints is only text", async ({ chat }) => {
  await chat.open("/");
  await chat.askAndWait(HOSTILE);
  await expect(chat.questions.first()).toContainText("<script>window.harmed = 1</script>");
  await chat.askAndWait(`run: echo ${Buffer.from(HOSTILE).toString("base64")} | base64 -d`);
  await expect(chat.lastAnswer).toContainText("<script>window.harmed = 1</script>");
  await staysHarmless(chat);
  await chat.reload();
  await expect(chat.questions.first()).toContainText("<script>window.harmed = 1</script>");
  await staysHarmless(chat);
});

test("harmful markdown in an answer is harmless, streamed and from the server", async ({ chat }) => {
  await chat.open("/");
  await chat.askAndWait(HOSTILE);
  // The agent quotes the last message as it was: what was text is markdown now.
  await chat.askAndWait("what did I just ask?");
  await expect(chat.lastAnswer).toContainText("click me");
  await staysHarmless(chat);
  await chat.reload();
  await expect(chat.lastAnswer).toContainText("click me");
  await staysHarmless(chat);
});

test("a line of a million characters does not break the page", async ({ chat }) => {
  await chat.open("/");
  await chat.askAndWait("run: head -c 1000000 /dev/zero | tr '\\0' x; echo; echo the-end");
  await expect(chat.input).toBeEnabled();
  expect(await chat.overflow()).toEqual({ page: 0, conversation: 0 });
  await chat.reload();
  await chat.askAndWait("list the files");
});

test("a streamed line of a million characters does not break the page", async ({ chat, page }) => {
  await replaceAnswersInTheStream(page, `${"long ".repeat(200_000)}\n\nthe end`);
  await chat.open("/");
  await chat.ask("run: sleep 60; echo done");
  await expect(chat.lastAnswer).toContainText("the end");
  await chat.stop.click();
  await chat.settled();
  await chat.askAndWait("list the files");
});

test("a tool with an endless name does not break the page", async ({ chat, page }) => {
  await replaceInTheStream(page, (update) => {
    if (update.part.type === "tool") update.part.tool = "weather".repeat(100);
  });
  await chat.open("/");
  await chat.ask("run: sleep 60; echo done");
  await expect(chat.lastAnswer.locator(".step").first()).toContainText("weatherweather");
  expect(await chat.overflow()).toEqual({ page: 0, conversation: 0 });
  await chat.stop.click();
  await chat.settled();
});

/** Puts `text` in the place of what the agent says, on the wire. Tools and figures stay. */
async function replaceAnswersInTheStream(page: Page, text: string): Promise<void> {
  let said = false;
  await replaceInTheStream(page, (update) => {
    if (update.part.type !== "text") return;
    const replacement = said ? "" : text;
    said = true;
    update.part.text = replacement;
    if (typeof update.delta === "string") update.delta = replacement;
  });
}

/** Lets `change` have its way with every part that comes over the wire. */
async function replaceInTheStream(
  page: Page,
  change: (update: PartUpdate) => void,
): Promise<void> {
  await page.routeWebSocket(/\/session/, (socket) => {
    const server = socket.connectToServer();
    server.onMessage((frame) => socket.send(typeof frame === "string" ? disguise(frame) : frame));
  });

  function disguise(frame: string): string {
    const parsed = JSON.parse(frame);
    partUpdates(parsed).forEach(change);
    return JSON.stringify(parsed);
  }
}

async function staysHarmless(chat: ChatPage): Promise<void> {
  const { page } = chat;
  expect(await page.evaluate(() => (window as { harmed?: number }).harmed)).toBeUndefined();
  const found = await chat.conversation.evaluate((log) => ({
    forbidden: log.querySelectorAll("script, iframe, form, object, embed, style, link, base").length,
    handlers: [...log.querySelectorAll("*")].filter((element) =>
      element.getAttributeNames().some((name) => name.startsWith("on")),
    ).length,
    links: [...log.querySelectorAll("a")].map((link) => link.protocol),
    pictures: [...log.querySelectorAll("img")].filter(
      (picture) => new URL(picture.src).origin !== location.origin,
    ).length,
  }));
  expect(found).toMatchObject({ forbidden: 0, handlers: 0, pictures: 0 });
  for (const protocol of found.links) expect(protocol).toMatch(/^(https?|mailto):$/);
  await expect(chat.input).toBeVisible();
}
