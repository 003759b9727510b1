import { ChatPage, LONG_REQUEST, expect, test } from "../support/test.ts";

test.describe("a reload loses nothing and doubles nothing", () => {
  test.use({ stackOptions: { paceMs: 30 } });

  test("before the first piece of text", async ({ chat, page, context }) => {
    const request = "write a long markdown answer";
    const undisturbed = await askElsewhere(context, request);
    await chat.open("/");
    await chat.ask(request);
    await chat.chatId();
    await chat.reload();
    await expect(chat.questions).toHaveCount(1);
    await chat.settled();
    expect(await chat.prose()).toBe(await undisturbed());
    await page.reload();
    expect(await chat.prose()).toBe(await undisturbed());
  });

  test("in the middle of the text, twice", async ({ chat, context }) => {
    const undisturbed = await askElsewhere(context, LONG_REQUEST);
    await chat.open("/");
    await chat.ask(LONG_REQUEST);
    for (const characters of [300, 1500]) {
      await chat.inTheMiddleOfText(characters);
      const before = await chat.prose();
      await chat.reload();
      await expect(chat.questions).toHaveCount(1);
      await expect.poll(() => chat.prose()).toContain(before.slice(0, characters));
    }
    await chat.settled();
    expect(await chat.prose()).toBe(await undisturbed());
  });

  test("in the middle of a tool", async ({ chat }) => {
    await chat.open("/");
    await chat.ask("run: echo one; sleep 15; echo two");
    const tool = chat.lastAnswer.locator(".step");
    await expect(tool.first()).toBeVisible();
    await expect(chat.stop).toBeVisible();
    await chat.reload();
    await expect(tool.first()).toBeVisible();
    await chat.settled();
    await expect(tool).toHaveCount(1);
    await expect(chat.lastAnswer).toContainText(/one\s+two/);
  });

  test("after the end: the same page, from the server alone", async ({ chat, browser, page }) => {
    await chat.open("/");
    await chat.askAndWait("write a small program, run it, and fix what fails");
    const prose = await chat.prose();
    const steps = await chat.lastAnswer.locator(".step").count();
    const receipt = await chat.lastAnswer.locator(".receipt").innerText();
    await chat.reload();
    expect(await chat.prose()).toBe(prose);
    await expect(chat.lastAnswer.locator(".step")).toHaveCount(steps);
    await expect(chat.lastAnswer.locator(".receipt")).toHaveText(receipt, {
      useInnerText: true,
    });

    const withoutScripts = await browser.newContext({
      javaScriptEnabled: false,
      storageState: await page.context().storageState(),
    });
    const still = new ChatPage(await withoutScripts.newPage());
    await still.page.goto(page.url());
    expect(await still.prose()).toBe(prose);
    await withoutScripts.close();
  });
});

/** Asks the same in another chat that nobody disturbs; gives its prose once it is complete. */
async function askElsewhere(
  context: import("@playwright/test").BrowserContext,
  question: string,
): Promise<() => Promise<string>> {
  const chat = new ChatPage(await context.newPage());
  await chat.open("/");
  await chat.ask(question);
  await chat.chatId();
  return async () => {
    await chat.settled();
    return chat.prose();
  };
}
