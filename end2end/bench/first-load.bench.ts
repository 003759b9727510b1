import type { Page } from "@playwright/test";
import { MainThread, percentile, report } from "../support/measure.ts";
import { expect, test } from "../support/test.ts";

test("bytes on the wire of a first load, by type", async ({ page, chat }) => {
  const session = await page.context().newCDPSession(page);
  await session.send("Network.enable");
  await session.send("Network.setCacheDisabled", { cacheDisabled: true });
  const kinds = new Map<string, string>();
  const bytes = new Map<string, number>();
  session.on("Network.responseReceived", ({ requestId, response }) => {
    kinds.set(requestId, kindOf(response.mimeType));
  });
  session.on("Network.loadingFinished", ({ requestId, encodedDataLength }) => {
    const kind = kinds.get(requestId) ?? "other";
    bytes.set(kind, (bytes.get(kind) ?? 0) + encodedDataLength);
  });
  await chat.open("/");
  await page.waitForLoadState("networkidle");
  let total = 0;
  for (const kind of ["html", "css", "js", "wasm", "font", "other"]) {
    const amount = bytes.get(kind) ?? 0;
    total += amount;
    report(`first_load_${kind}`, amount);
  }
  report("first_load_total", total);
  expect(total).toBeGreaterThan(0);
});

test("largest contentful paint, warm server", async ({ browser, baseURL }) => {
  for (const rate of [1, 4]) {
    const samples: number[] = [];
    for (let round = 0; round < 5; round += 1) {
      const context = await browser.newContext();
      const page = await context.newPage();
      await (await MainThread.of(page)).throttle(rate);
      await page.goto(baseURL ?? "");
      await page.locator("html[data-hydrated]").waitFor({ state: "attached" });
      samples.push(await largestPaint(page));
      await context.close();
    }
    report(`lcp_${rate}x`, percentile(samples, 0.5));
  }
});

function kindOf(mimeType: string): string {
  if (mimeType.includes("html")) return "html";
  if (mimeType.includes("css")) return "css";
  if (mimeType.includes("javascript")) return "js";
  if (mimeType.includes("wasm")) return "wasm";
  if (mimeType.includes("font")) return "font";
  return "other";
}

async function largestPaint(page: Page): Promise<number> {
  return page.evaluate(
    () =>
      new Promise<number>((resolve) => {
        new PerformanceObserver((list) => {
          resolve(list.getEntries().at(-1)?.startTime ?? Number.NaN);
        }).observe({ type: "largest-contentful-paint", buffered: true });
      }),
  );
}
