import type { BrowserContext, Page } from "@playwright/test";

/** What no page may ever say, whatever a test does to it. */
const NEVER = [/hydrat/i, /Content Security Policy/i, /Refused to/i, /panicked at/i, /unreachable/i];

/** Collects what pages complain about, and fails the test for what it did not announce. */
export class ConsoleGate {
  readonly #complaints: string[] = [];
  readonly #announced: RegExp[] = [];

  watch(context: BrowserContext): void {
    context.pages().forEach((page) => this.#watchPage(page));
    context.on("page", (page) => this.#watchPage(page));
  }

  /** The test causes this; it is no fault of the page. */
  allow(...patterns: RegExp[]): void {
    this.#announced.push(...patterns);
  }

  get failures(): string[] {
    return this.#complaints.filter(
      (text) =>
        NEVER.some((pattern) => pattern.test(text)) ||
        !this.#announced.some((pattern) => pattern.test(text)),
    );
  }

  #watchPage(page: Page): void {
    page.on("console", (message) => {
      const text = `${message.text()} (${message.location().url})`;
      const loud = message.type() === "error";
      if (loud || NEVER.some((pattern) => pattern.test(text))) this.#complaints.push(text);
    });
    page.on("pageerror", (error) => this.#complaints.push(`uncaught: ${error.message}`));
  }
}
