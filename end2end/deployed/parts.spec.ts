import { expect, test } from "../support/test.ts";

const PARTS = "**/split_*.wasm";

test.describe("a part of the module that could not be loaded", () => {
  test.beforeEach(async ({ consoleGate, page }) => {
    consoleGate.allow(/Failed to load resource/, /Failed to fetch/);
    await page.route(PARTS, (route) => route.abort());
  });

  test("keeps no message from being sent, and is loaded once it can be", async ({ chat, page }) => {
    await chat.open("/");
    // It must still be under way when the part can be loaded.
    await chat.ask("run: for i in $(seq 15); do echo step-$i; sleep 1; done");
    await expect(chat.strip).toContainText("Reload the page; nothing is lost.");
    await chat.chatId();
    await page.unroute(PARTS);
    // By itself: there is an answer to follow.
    await chat.settled();
    await expect(chat.questions).toHaveCount(1);
    await expect(chat.strip).toBeHidden();
  });

  test("leaves what the page came with to be read, and is loaded when somebody asks", async ({
    chat,
    page,
  }) => {
    await page.unroute(PARTS);
    await chat.open("/");
    await chat.askAndWait("list the files");
    await page.route(PARTS, (route) => route.abort());
    await chat.reload();
    await expect(chat.strip).toContainText("could not be loaded");
    await expect(chat.lastAnswer.locator(".receipt")).toBeVisible();
    await page.unroute(PARTS);
    await chat.strip.getByRole("button", { name: "Try again" }).click();
    await expect(chat.strip).toBeHidden();
    await chat.retry.click();
    await expect(chat.answers).toHaveCount(2);
    await chat.settled();
  });
});

test("a page whose part was replaced by a newer one sends what is typed, and offers to reload", async ({
  chat,
  consoleGate,
  page,
}) => {
  consoleGate.allow(/Failed to load resource/, /Failed to fetch/, /MIME type/, /HTTP status code/);
  await page.route(PARTS, (route) => route.fulfill({ status: 404, body: "" }));
  await chat.open("/");
  await chat.ask("list the files");
  await expect(chat.strip).toContainText("Reload the page; nothing is lost.");
  // The turn ended meanwhile: the page knows it without having watched.
  await expect(chat.send).toBeVisible();
  await page.unroute(PARTS);
  await chat.strip.getByRole("button", { name: "Reload the page" }).click();
  await chat.hydrated();
  await expect(chat.questions).toHaveText(["list the files"]);
  await expect(chat.lastAnswer.locator(".receipt")).toBeVisible();
  await chat.askAndWait("run: echo again");
});

test("a new chat comes without the part for conversations, which comes when one writes", async ({
  chat,
  page,
}) => {
  const asked: string[] = [];
  page.on("request", (request) => {
    if (/\/split_.*\.wasm$/.test(request.url())) asked.push(request.url());
  });
  await chat.open("/");
  await page.waitForLoadState("networkidle");
  expect(asked).toEqual([]);
  const part = page.waitForResponse(/\/split_thread\.[0-9a-f]{16}\.wasm$/);
  await chat.input.fill("list");
  expect((await part).headers()["cache-control"]).toContain("immutable");
  await chat.askAndWait("list the files");
  await chat.reload();
  expect(new Set(asked).size, "the same file").toBe(1);
});
