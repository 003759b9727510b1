import { MainThread, percentile, report, watchModuleMemory } from "../support/measure.ts";
import { expect, test } from "../support/test.ts";

test("from Send to the first piece of the answer in the page", async ({ chat, page }) => {
  await chat.open("/");
  await chat.askAndWait("list the files");
  const samples: number[] = [];
  for (let round = 0; round < 30; round += 1) {
    await chat.input.fill("list the files");
    samples.push(await page.evaluate(timeToFirstPiece));
    await chat.settled();
  }
  report("first_delta_p50", percentile(samples, 0.5));
  report("first_delta_p95", percentile(samples, 0.95));
});

test.describe("a long answer", () => {
  test.use({ stackOptions: { paceMs: 12 } });

  test("cost of streaming 24,000 characters of markdown", async ({ chat, page }) => {
    await watchModuleMemory(page);
    await chat.open("/");
    await chat.askAndWait("list the files");
    const main = await MainThread.of(page);
    const heap = await main.heap(page);
    const before = await main.figures();
    await page.evaluate(() => {
      const tasks: number[] = [];
      Object.assign(window, { longTasks: tasks });
      new PerformanceObserver((list) => {
        for (const entry of list.getEntries()) tasks.push(entry.duration);
      }).observe({ type: "longtask" });
    });
    await chat.input.fill("write a long markdown answer of 24000 characters");
    await chat.send.click();
    // Looking at the page costs time of its own: wait for the end without looking.
    await chat.lastAnswer.locator(".receipt").waitFor({ timeout: 200_000 });
    const after = await main.figures();
    const tasks = await page.evaluate(() => (window as { longTasks?: number[] }).longTasks ?? []);
    // Markup and white space are not among what can be read: the closing words say that all is there.
    const read = await chat.prose();
    expect(read).toMatch(/Thatisthelonganswer\..*“Connectamodel”\.$/);
    expect(read.length).toBeGreaterThan(12_000);
    report("stream_cpu", after.cpuMs - before.cpuMs);
    report("stream_worst_task", Math.max(0, ...tasks));
    report("stream_heap", (await main.heap(page)) - heap);
  });
});

/** Runs in the page: presses Send and waits for text in a new answer. */
async function timeToFirstPiece(): Promise<number> {
  const answers = () => document.querySelectorAll('[role="log"] .message.agent');
  const before = answers().length;
  const button = document.querySelector<HTMLButtonElement>('button[aria-label="Send message"]');
  const started = performance.now();
  return new Promise((resolve) => {
    const observer = new MutationObserver(() => {
      const answer = answers()[before];
      const text = answer?.querySelector(".prose, .thought, .step")?.textContent ?? "";
      if (text.trim() === "") return;
      observer.disconnect();
      resolve(performance.now() - started);
    });
    observer.observe(document.body, { childList: true, subtree: true, characterData: true });
    button?.click();
  });
}
