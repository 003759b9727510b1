// Figures: taken by the benches, printed beside their budgets by `cargo xtask bench`.
import { appendFileSync } from "node:fs";
import type { CDPSession, Page } from "@playwright/test";

/** Notes a figure under the name that the table of budgets knows. */
export function report(name: string, value: number): void {
  note({ name, value });
}

/** Notes that there is no such figure, and why. */
export function reportMissing(name: string, missing: string): void {
  note({ name, missing });
}

function note(figure: object): void {
  const line = JSON.stringify(figure);
  const file = process.env.SKEIN_BENCH_OUTPUT;
  if (file) appendFileSync(file, `${line}\n`);
  console.log(line);
}

export function percentile(samples: number[], share: number): number {
  const sorted = [...samples].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN;
}

/** Main-thread CPU time of a page, other processes' share left out. */
export class MainThread {
  readonly #session: CDPSession;

  private constructor(session: CDPSession) {
    this.#session = session;
  }

  static async of(page: Page): Promise<MainThread> {
    const session = await page.context().newCDPSession(page);
    await session.send("Performance.enable", { timeDomain: "threadTicks" });
    return new MainThread(session);
  }

  async figures(): Promise<{ cpuMs: number; nodes: number }> {
    const { metrics } = await this.#session.send("Performance.getMetrics");
    const get = (name: string) => metrics.find((metric) => metric.name === name)?.value ?? 0;
    return { cpuMs: get("TaskDuration") * 1_000, nodes: get("Nodes") };
  }

  /** What JavaScript and the module hold after a collection, in bytes. */
  async heap(page: Page): Promise<number> {
    await this.#session.send("HeapProfiler.collectGarbage");
    const { metrics } = await this.#session.send("Performance.getMetrics");
    const js = metrics.find((metric) => metric.name === "JSHeapUsedSize")?.value ?? 0;
    return js + (await moduleMemory(page));
  }

  async throttle(rate: number): Promise<void> {
    await this.#session.send("Emulation.setCPUThrottlingRate", { rate });
  }
}

/** Lets `aliveAfter` know, on every page from now on. */
export async function watchAlive(page: Page): Promise<void> {
  await page.addInitScript(() => {
    const observer = new MutationObserver(() => {
      if (!document.documentElement.hasAttribute("data-hydrated")) return;
      observer.disconnect();
      Object.assign(window, { aliveAt: performance.now() });
    });
    observer.observe(document, { subtree: true, attributeFilter: ["data-hydrated"] });
  });
}

/** Milliseconds from the request for the page until it could be used, by the page's own clock. */
export async function aliveAfter(page: Page): Promise<number> {
  return page.evaluate(() => (window as { aliveAt?: number }).aliveAt ?? Number.NaN);
}

/** Lets `moduleMemory` see the memory of the modules that the page starts from now on. */
export async function watchModuleMemory(page: Page): Promise<void> {
  await page.addInitScript(() => {
    const seen: WebAssembly.Memory[] = [];
    Object.assign(window, { wasmMemories: seen });
    const keep = (instance: WebAssembly.Instance) => {
      const memory = Object.values(instance.exports).find(
        (item) => item instanceof WebAssembly.Memory,
      );
      if (memory) seen.push(memory as WebAssembly.Memory);
    };
    const streaming = WebAssembly.instantiateStreaming;
    WebAssembly.instantiateStreaming = async (...parameters) => {
      const result = await streaming.apply(WebAssembly, parameters);
      keep(result.instance);
      return result;
    };
  });
}

async function moduleMemory(page: Page): Promise<number> {
  return page.evaluate(() => {
    const { wasmMemories = [] } = window as { wasmMemories?: WebAssembly.Memory[] };
    return wasmMemories.reduce((sum, memory) => sum + memory.buffer.byteLength, 0);
  });
}
