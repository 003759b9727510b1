import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { balance, messages } from "../support/api.ts";
import { LONG_REQUEST, expect, test } from "../support/test.ts";

test.describe("a first visit", () => {
  test.use({ stackOptions: { paceMs: 25 } });

  test("leads from an empty page to an answer that is read while it is written", async ({
    chat,
    page,
  }) => {
    await chat.open("/");
    await chat.ask(LONG_REQUEST);
    await expect(chat.questions.first()).toContainText(LONG_REQUEST);
    await page.waitForURL(/\/chat\/./);

    const lengths: number[] = [];
    for (let look = 1; look <= 3; look += 1) {
      const before = lengths.at(-1) ?? 0;
      await expect.poll(async () => (await chat.prose()).length).toBeGreaterThan(before + 100);
      lengths.push((await chat.prose()).length);
    }
    await expect(chat.stop).toBeVisible();
    await expect(chat.sandbox).toContainText(/running/i);
    await chat.settled();
    await expect(chat.lastAnswer).toContainText("demo agent");
    await expect(chat.chats.getByRole("link", { name: /write a long markdown/ })).toBeVisible();
  });
});

test("a message typed before the page is alive survives hydration", async ({ chat, page }) => {
  let release = () => {};
  const held = new Promise<void>((resolve) => (release = resolve));
  await page.route(/\.wasm/, async (route) => {
    await held;
    await route.continue();
  });
  await page.goto("/");
  await chat.input.fill("list the files");
  release();
  await chat.hydrated();
  await expect(chat.input).toHaveValue("list the files");
  await chat.send.click();
  await chat.settled();
});

test("a command that the agent runs really happens in a sandbox on this machine", async ({
  chat,
  stack,
}) => {
  await chat.open("/");
  await chat.askAndWait("run: echo made-by-a-real-command > proof.txt && id -u && ls -l proof.txt");
  const proof = await findFile(stack.data, "proof.txt");
  expect(await readFile(proof, "utf8")).toBe("made-by-a-real-command\n");
});

test("the conversation goes on in the same sandbox, knowing what was before", async ({ chat }) => {
  await chat.open("/");
  await chat.askAndWait('write notes.txt containing "buy milk"');
  await chat.askAndWait('replace "milk" with "bread" in notes.txt');
  await chat.askAndWait("show me notes.txt");
  await expect(chat.lastAnswer).toContainText("buy bread");
  await chat.askAndWait("what did I just ask?");
  await expect(chat.lastAnswer).toContainText("show me notes.txt");
  // It introduces itself in the first answer only.
  await expect(chat.answers.first()).toContainText("demo agent");
  await expect(chat.lastAnswer).not.toContainText("demo agent");
});

test("an answer costs what its receipt says", async ({ chat, page }) => {
  await chat.open("/");
  const before = await balance(page);
  await chat.askAndWait("list the files");
  const after = await balance(page);
  const [, answer] = await messages(page, await chat.chatId());
  const charged = answer?.receipt?.charged ?? 0;
  expect(charged).toBeGreaterThan(0);
  expect(before.available - after.available).toBe(charged);
  expect(after.held).toBe(0);
  await expect(chat.lastAnswer.locator(".receipt")).toContainText(`· ${inCredits(charged)} credits`);
  await expect(page.getByText(`${inCredits(after.available)} credits left`)).toBeVisible();
});

/** As the page writes amounts that are not whole: two digits, the rest cut off. */
function inCredits(millionths: number): string {
  const hundredths = Math.floor(millionths / 10_000);
  return hundredths === 0 ? "<0.01" : (hundredths / 100).toFixed(2);
}

async function findFile(folder: string, name: string): Promise<string> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const found = entries.find((entry) => entry.isFile() && entry.name === name);
  if (!found) throw new Error(`${name} is nowhere below ${folder}`);
  return join(found.parentPath, name);
}
