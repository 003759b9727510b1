import { expect, type Locator, type Page } from "@playwright/test";

/** The product's page, by the names a person hears or reads. */
export class ChatPage {
  readonly page: Page;
  readonly input: Locator;
  readonly send: Locator;
  readonly stop: Locator;
  readonly retry: Locator;
  readonly newChat: Locator;
  readonly conversation: Locator;
  readonly chats: Locator;
  readonly sandbox: Locator;

  constructor(page: Page) {
    this.page = page;
    this.input = page.getByRole("textbox", { name: "Message input" });
    this.send = page.getByRole("button", { name: "Send message" });
    this.stop = page.getByRole("button", { name: "Stop response" });
    this.retry = page.getByRole("button", { name: "Retry" });
    this.newChat = page.getByRole("button", { name: "New chat" });
    this.conversation = page.getByRole("log", { name: "Conversation" });
    this.chats = page.getByRole("navigation", { name: "Chats" });
    this.sandbox = page.getByRole("status", { name: "Sandbox" });
  }

  /** Opens a page and waits until it reacts to clicks. */
  async open(path = "/"): Promise<void> {
    await this.page.goto(path);
    await this.hydrated();
  }

  async reload(): Promise<void> {
    await this.page.reload();
    await this.hydrated();
  }

  async hydrated(): Promise<void> {
    await this.page.locator("html[data-hydrated]").waitFor({ state: "attached" });
  }

  /** Types a message and sends it. */
  async ask(text: string): Promise<void> {
    await this.input.fill(text);
    await this.send.click();
  }

  /** Waits until no answer is under way. */
  async settled(): Promise<void> {
    await expect(this.stop).toBeHidden({ timeout: 60_000 });
  }

  /** Sends a message and waits for the end of the answer. */
  async askAndWait(text: string): Promise<void> {
    const before = await this.answers.count();
    await this.ask(text);
    await expect(this.answers).toHaveCount(before + 1);
    await this.settled();
  }

  /** The assistant's messages. */
  get answers(): Locator {
    return this.conversation.getByRole("article", { name: /^Answer/ });
  }

  get lastAnswer(): Locator {
    return this.answers.last();
  }

  /** The chat that is open, from the address. */
  async chatId(): Promise<string> {
    await this.page.waitForURL(/\/chat\//);
    return new URL(this.page.url()).pathname.split("/")[2] ?? "";
  }
}
