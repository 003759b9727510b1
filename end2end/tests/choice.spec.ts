import type { Locator } from "@playwright/test";
import { balance, call, messages, newTurnId } from "../support/api.ts";
import { TWO_PRICES } from "../support/prices.ts";
import { ScriptedModel } from "../support/scripted-model.ts";
import { ChatPage, expect, test } from "../support/test.ts";

test.describe("with the demo agent alone", () => {
  test("there is nothing to choose, and the receipt says what was used", async ({ chat, page }) => {
    await chat.open("/");
    await expect(page.getByRole("button", { name: /Agent and model/ })).toHaveCount(0);
    await chat.askAndWait("list the files");
    const receipt = chat.lastAnswer.locator(".receipt");
    await expect(receipt).toContainText(/\d s · [\d.]+ credits? · \S+ tokens in, \S+ out/);
    await chat.reload();
    await expect(page.getByRole("button", { name: /Agent and model/ })).toHaveCount(0);
  });

  test("what has no price is refused, and costs nothing", async ({ chat, page, consoleGate }) => {
    consoleGate.allow(/400/);
    await chat.open("/");
    const before = await balance(page);
    const turn = { chat_id: null, turn_id: newTurnId(), text: "hello", agent: "demo" };
    const refused = await call<{ code: string; field: string }>(page, "start_turn", {
      request: { ...turn, model: "anthropic/claude-opus-5" },
    });
    expect(refused.status).toBe(400);
    expect(await balance(page)).toEqual(before);
  });
});

test.describe("with something to choose", () => {
  test.use({ stackOptions: { prices: TWO_PRICES } });

  test("the keyboard chooses, and the choice is sent, billed and remembered", async ({
    chat,
    page,
  }) => {
    await chat.open("/");
    const line = page.getByRole("button", { name: /Agent and model/ });
    const dialog = page.getByRole("dialog", { name: "Agent and model" });
    await line.focus();
    await page.keyboard.press("Enter");
    await expect(dialog).toBeVisible();
    await expect(dialog.getByText("No model is connected that it can use.")).toBeVisible();
    for (const row of await dialog.locator("label").all()) {
      const height = (await row.boundingBox())?.height;
      expect(height, "a name keeps its room beside a reason").toBeLessThan(80);
    }
    const dearer = dialog.getByRole("radio", { name: /dearer 1\s000 in \/ 5\s000 out/ });
    await expect(dialog.getByRole("radio", { name: /demo 100 in \/ 500 out/ })).toBeChecked();
    await dialog.getByRole("radio", { name: /demo 100 in/ }).focus();
    await page.keyboard.press("ArrowDown");
    await expect(dearer).toBeChecked();
    await expect(dialog).toBeVisible();
    await page.keyboard.press("Escape");
    await expect(dialog).toBeHidden();
    await expect(line).toBeFocused();
    await expect(line).toHaveText(/dearer/);

    await chat.reload();
    await expect(line).toHaveText(/dearer/);
    await chat.askAndWait("list the files");
    const [, answer] = await messages(page, await chat.chatId());
    const receipt = answer?.receipt;
    const tokens = (receipt?.input_tokens ?? 0) * 1000 + (receipt?.output_tokens ?? 0) * 5000;
    expect(receipt?.charged).toBe(tokens);

    await chat.newChat.click();
    await expect(chat.questions).toHaveCount(0);
    await expect(line, "new chats begin with it").toHaveText(/dearer/);
    await line.click();
    await dialog.getByText("demo", { exact: true }).last().click();
    await expect(dialog, "a pointer's choice is the last step").toBeHidden();
    await expect(line).not.toHaveText(/dearer/);
    await chat.chats.getByRole("link", { name: "list the files" }).click();
    await expect(line, "the other chat keeps its own").toHaveText(/dearer/);
  });

  test("what another tab sends with is chosen here, too, unless one has chosen here", async ({
    chat,
    context,
  }) => {
    await chat.open("/");
    await chat.askAndWait("list the files");
    const elsewhere = new ChatPage(await context.newPage());
    await elsewhere.open(`/chat/${await chat.chatId()}`);
    await choose(elsewhere, "dearer");
    await elsewhere.askAndWait("run: echo dearer");
    await expect(chat.questions).toHaveCount(2);
    await expect(choiceOf(chat)).toHaveText(/dearer/);

    await choose(chat, "demo");
    await elsewhere.askAndWait("run: echo once-more");
    await expect(chat.questions).toHaveCount(3);
    await chat.settled();
    await expect(choiceOf(chat)).not.toHaveText(/dearer/);
  });

  test.describe("on a phone", () => {
    test.use({ viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true });

    test("everything is within reach", async ({ chat, page }) => {
      await chat.open("/");
      await page.getByRole("button", { name: /Agent and model/ }).tap();
      const dialog = page.getByRole("dialog", { name: "Agent and model" });
      for (const row of await dialog.locator("label").all()) {
        await expect(row).toBeInViewport();
        expect((await row.boundingBox())?.height).toBeGreaterThanOrEqual(44);
      }
      await dialog.getByText("dearer").tap();
      await expect(dialog).toBeHidden();
      const wider = await page.evaluate(
        () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
      );
      expect(wider).toBeLessThanOrEqual(0);
      await expect(page.getByRole("button", { name: /Agent and model/ })).toHaveText(/dearer/);
    });
  });
});

function choiceOf(chat: ChatPage): Locator {
  return chat.page.getByRole("button", { name: /Agent and model/ });
}

async function choose(chat: ChatPage, model: string): Promise<void> {
  await choiceOf(chat).click();
  const dialog = chat.page.getByRole("dialog", { name: "Agent and model" });
  await dialog.getByText(model, { exact: true }).last().click();
  await expect(dialog).toBeHidden();
}

test.describe("with a model", () => {
  test.use({
    stackOptions: async ({}, use) => {
      const model = await ScriptedModel.start();
      // An agent that is installed on this machine would come before the built-in one.
      await use({ environment: { SKEIN_MODEL_URL: model.url, SKEIN_AGENT: "skein" } });
      await model.stop();
    },
  });

  test("it is chosen by itself, works in the sandbox, and is billed by its own figures", async ({
    chat,
    page,
  }) => {
    // The server does not wait long to hear what there is to choose from.
    await expect(async () => {
      await chat.open("/");
      await expect(page.getByRole("button", { name: /Agent and model/ })).toBeVisible({
        timeout: 1_000,
      });
    }).toPass();
    const line = page.getByRole("button", { name: /Agent and model/ });
    await expect(line).toHaveText(/Skein · scripted-1/);
    await chat.askAndWait(
      "USAGE[1000,200] RUN[echo real > proof.txt; cat proof.txt] SAY[There it is.]",
    );
    expect(await chat.prose()).toBe("Thereitis.");
    await expect(chat.lastAnswer.locator(".step")).toHaveCount(1);
    const [, answer] = await messages(page, await chat.chatId());
    // Two requests: for the command, and with what came of it.
    expect(answer?.receipt).toMatchObject({ input_tokens: 2_000, output_tokens: 400 });
    expect(answer?.receipt?.charged, "at the prices of an unknown host").toBe(
      2_000 * 100 + 400 * 400,
    );
    const shown = await chat.lastAnswer.locator(".receipt").textContent();
    await chat.reload();
    await expect(chat.lastAnswer.locator(".receipt")).toHaveText(shown ?? "");

    await line.click();
    const dialog = page.getByRole("dialog", { name: "Agent and model" });
    await dialog.getByRole("radio", { name: "Demo" }).check();
    await page.keyboard.press("Escape");
    await expect(line).toHaveText(/Demo/);
    await chat.askAndWait("run: cat proof.txt");
    await expect(chat.lastAnswer, "another agent, in the same sandbox").toContainText("real");
  });

  test("what its provider refuses is told in words and costs nothing", async ({ chat, page }) => {
    // The server does not wait long to hear what there is to choose from.
    await expect(async () => {
      await chat.open("/");
      await expect(page.getByRole("button", { name: /Agent and model/ })).toBeVisible({
        timeout: 1_000,
      });
    }).toPass();
    await chat.askAndWait("SAY[Hello.]");
    const before = await balance(page);
    await chat.ask("FAIL[401]");
    await expect(chat.lastAnswer).toContainText("refused the key");
    await expect(chat.stop).toBeHidden();
    await expect.poll(async () => (await messages(page, await chat.chatId())).length).toBe(4);
    expect(await balance(page)).toEqual(before);
  });
});
