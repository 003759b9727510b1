import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { Page } from "@playwright/test";
import { PERMISSION, PLAN, QUESTION, QUESTIONS, openWith } from "../support/cards.ts";
import { TWO_PRICES } from "../support/prices.ts";
import { LONG_REQUEST, expect, test } from "../support/test.ts";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

for (const colorScheme of ["dark", "light"] as const) {
  test.describe(`in the ${colorScheme} theme`, () => {
    test.use({ colorScheme, stackOptions: { paceMs: 25 } });

    test("axe finds nothing, from the empty page to a stopped answer", async ({ chat, page }) => {
      await chat.open("/");
      expect(await violations(page), "empty page").toEqual([]);
      await chat.askAndWait("write a small program, run it, and fix what fails");
      await unfoldAll(page);
      expect(await violations(page), "tools and code").toEqual([]);
      await chat.ask(LONG_REQUEST);
      await chat.inTheMiddleOfText();
      expect(await violations(page), "while it streams").toEqual([]);
      await chat.stop.click();
      await chat.settled();
      expect(await violations(page), "stopped").toEqual([]);
    });

    test("axe finds nothing in what an agent asks and has asked", async ({ chat, page }) => {
      await chat.open("/");
      await chat.askAndWait("list the files");
      const id = await chat.chatId();
      await openWith(page, id, [QUESTION, QUESTIONS, PERMISSION, PLAN]);
      await expect(chat.card).toHaveCount(4);
      expect(await violations(page), "waiting").toEqual([]);
      await page.unrouteAll({ behavior: "ignoreErrors" });
      const answered = [QUESTION, QUESTIONS, PERMISSION, PLAN].map((asked) => ({
        ...asked,
        status: "accepted" as const,
      }));
      await openWith(page, id, answered);
      await expect(chat.asked).toHaveCount(4);
      expect(await violations(page), "answered").toEqual([]);
      await unfoldAll(page);
      expect(await violations(page), "answered and unfolded").toEqual([]);
    });

    test.describe("with something to choose", () => {
      test.use({ stackOptions: { prices: TWO_PRICES } });

      test("axe finds nothing in the open picker", async ({ chat, page }) => {
        await chat.open("/");
        await page.getByRole("button", { name: /Agent and model/ }).click();
        const dialog = page.getByRole("dialog", { name: "Agent and model" });
        await expect(dialog.getByRole("radio", { name: /dearer/ })).toBeVisible();
        expect(await violations(page), "open").toEqual([]);
        await dialog.getByRole("radio", { name: /demo 100 in/ }).focus();
        await page.keyboard.press("ArrowDown");
        await expect(dialog.getByRole("radio", { name: /dearer/ })).toBeChecked();
        expect(await violations(page), "another choice").toEqual([]);
      });
    });
  });
}

test("who wants less motion sees none that repeats", async ({ chat, page }) => {
  await page.emulateMedia({ reducedMotion: "reduce" });
  await chat.open("/");
  await chat.ask("run: sleep 2; echo done");
  await expect(chat.lastAnswer.locator(".step").first()).toBeVisible();
  const endless = await page.evaluate(() =>
    document
      .getAnimations()
      .filter((animation) => animation.effect?.getComputedTiming().iterations === Infinity)
      .filter((animation) => animation.playState === "running").length,
  );
  expect(endless).toBe(0);
  await chat.settled();
});

async function unfoldAll(page: Page): Promise<void> {
  await page.locator("details").evaluateAll((all) => {
    for (const element of all as HTMLDetailsElement[]) element.open = true;
  });
}

/** What axe objects to, in short. */
async function violations(page: Page): Promise<string[]> {
  // Run from outside the page's own scripts: the content policy allows no others.
  await page.evaluate(axe);
  return page.evaluate(async () => {
    const { axe } = window as unknown as {
      axe: {
        run(): Promise<{ violations: { id: string; nodes: { html: string }[] }[] }>;
      };
    };
    const found = await axe.run();
    return found.violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html}`));
  });
}
