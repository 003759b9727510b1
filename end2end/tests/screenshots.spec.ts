// Pictures of every state, in both themes and both sizes, for people to look at; and the README's.
import { copyFile, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { call, newTurnId, startTurn } from "../support/api.ts";
import { PERMISSION, PLAN, QUESTION, QUESTIONS, openWith, type Asked } from "../support/cards.ts";
import { docsFolder, resultsFolder } from "../support/environment.ts";
import { ChatPage, LONG_REQUEST, expect, test } from "../support/test.ts";

const SIZES = {
  desktop: { viewport: { width: 1440, height: 900 } },
  phone: { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true },
};

const folder = join(resultsFolder, "screenshots");

for (const [size, device] of Object.entries(SIZES)) {
  for (const colorScheme of ["dark", "light"] as const) {
    test.describe(`${size}, ${colorScheme}`, () => {
      test.use({ ...device, colorScheme, stackOptions: { paceMs: 25, breakable: true } });

      test("pictures of a conversation", async ({ chat, page, stack, consoleGate }) => {
        consoleGate.allow(/WebSocket connection to .* failed/);
        const shoot = pictures(chat, `${size}-${colorScheme}`);
        await chat.open("/");
        await shoot("1-empty");
        await makeEarlierChats(chat);
        await chat.askAndWait("Write a small program, run it, and fix what fails");
        await shoot("2-conversation");
        // Only when asked: a test run leaves the checkout as it was.
        if (process.env.SKEIN_UPDATE_SCREENSHOT && size === "desktop" && colorScheme === "dark") {
          const picture = join(folder, "desktop-dark-2-conversation.png");
          await copyFile(picture, join(docsFolder, "screenshot.png"));
        }
        await chat.lastAnswer.locator("details").evaluateAll((all) => {
          for (const element of all as HTMLDetailsElement[]) element.open = true;
        });
        await shoot("3-unfolded");
        await chat.ask("run: echo Tuesday; sleep 3; date +%Y");
        await expect(chat.lastAnswer.locator(".step").first()).toBeVisible();
        await shoot("4-tool-running");
        await chat.settled();
        await chat.ask(LONG_REQUEST);
        await chat.inTheMiddleOfText();
        await shoot("5-streaming");
        stack.network?.cut();
        await expect(page.getByText(/connection lost/i).first()).toBeVisible();
        await shoot("6-offline");
        stack.network?.restore();
        await chat.stop.click();
        await chat.settled();
        await shoot("7-stopped");
        await chat.reload();
        await shoot("8-after-reload");
      });

      test("pictures of what an agent asks", async ({ chat, page, consoleGate }) => {
        const shoot = pictures(chat, `${size}-${colorScheme}`);
        await chat.open("/");
        await chat.askAndWait("list the files");
        const id = await chat.chatId();
        const show = async (name: string, ...asked: Asked[]) => {
          await openWith(page, id, asked);
          await expect(page.locator(".ask").first()).toBeVisible();
          await shoot(name);
          await page.unrouteAll({ behavior: "ignoreErrors" });
        };
        await show("13-question", QUESTION);
        await show("14-questions", QUESTIONS);
        await show("15-permission", PERMISSION);
        await show("16-plan", PLAN);
        const over = (asked: Asked, status: Asked["status"], answer = {}): Asked => ({
          ...asked,
          status,
          answer,
        });
        await show(
          "17-answered",
          over(QUESTION, "accepted", { database: "postgres" }),
          over(PERMISSION, "accepted", { grant: "allow_once" }),
          over(QUESTIONS, "expired"),
          over(PLAN, "declined", { feedback: "Keep the map for the tests." }),
        );
        consoleGate.allow(/answer_interaction/);
        await page.route("**/api/answer_interaction", (route) => route.abort());
        await openWith(page, id, [QUESTION]);
        await chat.card.getByRole("radio", { name: /Postgres/ }).check();
        await chat.card.getByRole("button", { name: "Answer" }).click();
        await expect(chat.card.locator(".problem")).toBeVisible();
        await shoot("18-not-sent");
      });

      test("pictures of what went wrong", async ({ chat, page, stack, consoleGate }) => {
        consoleGate.allow(/WebSocket connection to .* failed/, /Failed to load resource/);
        const shoot = pictures(chat, `${size}-${colorScheme}`);
        await chat.open("/");
        await chat.ask(LONG_REQUEST);
        await chat.inTheMiddleOfText();
        await stack.server.kill();
        await chat.input.fill("are you there?");
        await page.waitForTimeout(1_500);
        await shoot("9-server-gone");
        await stack.startServer();
        await chat.settled();
        await shoot("10-interrupted");
        await page.goto("/chat/00000000-0000-7000-8000-000000000000");
        await shoot("11-not-found");
      });
    });
  }
}

test.describe("without credits", () => {
  test.use({ stackOptions: { guestCredits: 0 }, colorScheme: "dark" });

  test("picture", async ({ chat, consoleGate, page }) => {
    consoleGate.allow(/402/);
    await chat.open("/");
    await chat.ask("list the files");
    await expect(page.getByText(/credits/i).first()).toBeVisible();
    await pictures(chat, "desktop-dark")("12-no-credits");
  });
});

/** Chats as somebody has them who has been here before. */
async function makeEarlierChats(chat: ChatPage): Promise<void> {
  const { page } = chat;
  for (const text of [
    "List the files of the project",
    "Explain what the tests cover",
    "Clean a spreadsheet of addresses",
  ]) {
    expect((await startTurn(page, newTurnId(), text)).status).toBe(200);
    const running = async () =>
      (await call<{ running: boolean }[]>(page, "list_chats")).body.some(({ running }) => running);
    await expect.poll(running, { timeout: 60_000 }).toBe(false);
  }
  await chat.reload();
}

function pictures(chat: ChatPage, prefix: string): (name: string) => Promise<void> {
  return async (name) => {
    await mkdir(folder, { recursive: true });
    // Past every transition, so that two runs show the same.
    await chat.page.waitForTimeout(400);
    await chat.page.screenshot({ path: join(folder, `${prefix}-${name}.png`) });
  };
}
