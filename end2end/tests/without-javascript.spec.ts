import { ChatPage, expect, test } from "../support/test.ts";

test("with JavaScript off, history and navigation work and the composer says what it needs", async ({
  chat,
  page,
  browser,
}) => {
  await chat.open("/");
  await chat.askAndWait("write a small program, run it, and fix what fails");
  await chat.newChat.click();
  await chat.askAndWait("list the files");
  const state = await page.context().storageState();

  const context = await browser.newContext({ javaScriptEnabled: false, storageState: state });
  const still = new ChatPage(await context.newPage());
  await still.page.goto("/");
  await expect(still.page.getByText(/JavaScript/).first()).toBeVisible();
  await still.chats.getByRole("link", { name: /small program/ }).click();
  await expect(still.questions.first()).toContainText("write a small program");
  expect((await still.prose()).length).toBeGreaterThan(50);
  const row = still.lastAnswer.locator("details").first();
  await row.locator("summary").first().click();
  await expect(row).toHaveAttribute("open", "");
  await still.chats.getByRole("link", { name: "list the files" }).click();
  await expect(still.questions.first()).toContainText("list the files");
  await still.newChat.click();
  await expect(still.page).toHaveURL(/\/$/);
  await context.close();
});

test("an address that leads nowhere says so, and leads back", async ({ page, consoleGate }) => {
  consoleGate.allow(/404/);
  for (const path of ["/nowhere", "/chat/00000000-0000-7000-8000-000000000000", "/chat/x"]) {
    const response = await page.goto(path);
    expect(response?.status(), path).toBe(404);
    await expect(page.locator('a[href="/"]').first()).toBeVisible();
  }
});
