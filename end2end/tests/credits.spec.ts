import { balance } from "../support/api.ts";
import { expect, test } from "../support/test.ts";

test.describe("with no credits left", () => {
  test.use({ stackOptions: { guestCredits: 0 } });

  test("clear words, and nothing of what was typed is lost", async ({
    chat,
    page,
    consoleGate,
  }) => {
    consoleGate.allow(/402/);
    await chat.open("/");
    await chat.ask("list the files, please");
    await expect(page.getByText(/not enough credits|no credits|out of credits/i).first())
      .toBeVisible();
    await expect(chat.input).toHaveValue("list the files, please");
    await expect(chat.answers).toHaveCount(0);
    expect(await balance(page)).toMatchObject({ available: 0, held: 0 });
  });
});

test.describe("with credits for a part of the answer", () => {
  test.use({ stackOptions: { guestCredits: 1, paceMs: 0 } });

  test("the balance never goes below nothing, and what was written stays", async ({
    chat,
    page,
    consoleGate,
  }) => {
    consoleGate.allow(/402/);
    await chat.open("/");
    const refused = page.getByText(/credits/i).filter({ hasText: /not enough|no credits|out of/i });
    for (let turn = 0; turn < 8 && (await refused.count()) === 0; turn += 1) {
      await chat.ask("write a long markdown answer");
      await expect(chat.stop).toBeHidden({ timeout: 60_000 });
      await page.waitForTimeout(200);
    }
    await expect(refused.first()).toBeVisible();
    const left = await balance(page);
    expect(left.available).toBeGreaterThanOrEqual(0);
    expect(left.held).toBe(0);
    await chat.reload();
    expect((await chat.prose(chat.answers.first())).length).toBeGreaterThan(500);
  });
});
