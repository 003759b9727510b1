import { expect, type Locator, type Page } from "@playwright/test";

/** Takes the demo agent half a minute and more, at the pace of the tests that break into it. */
export const LONG_REQUEST = "write a long markdown answer of 24000 characters";

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
  /** Gets the messages before those that are shown. */
  readonly earlier: Locator;
  /** Leads to the end of a conversation that one has left. */
  readonly latest: Locator;
  /** What the agent asks and waits for. */
  readonly card: Locator;
  /** What it has asked before, a line each. */
  readonly asked: Locator;
  /** One line above the composer. */
  readonly strip: Locator;
  /** What the person wrote. */
  readonly questions: Locator;
  /** What the agent answered. */
  readonly answers: Locator;

  constructor(page: Page) {
    this.page = page;
    this.input = page.getByRole("textbox", { name: "Message input" });
    this.send = page.getByRole("button", { name: "Send message" });
    this.stop = page.getByRole("button", { name: "Stop response" });
    this.retry = page.getByRole("button", { name: "Retry" });
    this.newChat = page.getByRole("link", { name: "New chat" });
    this.conversation = page.getByRole("log", { name: "Conversation" });
    this.chats = page.getByRole("navigation", { name: "Chats" });
    this.sandbox = page.getByRole("status", { name: "Sandbox" });
    this.earlier = page.getByRole("button", { name: "Show earlier messages" });
    this.latest = page.getByRole("button", { name: "Jump to the latest" });
    this.card = this.conversation.locator(".ask.waiting");
    this.asked = this.conversation.locator(".ask:not(.waiting)");
    this.strip = page.locator(".strip");
    this.questions = this.conversation.locator(".message.person .bubble");
    this.answers = this.conversation.locator(".message.agent");
  }

  get lastAnswer(): Locator {
    return this.answers.last();
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

  /** Sends a message and waits for the end of the answer. */
  async askAndWait(text: string): Promise<void> {
    const before = await this.questions.count();
    await this.ask(text);
    await expect(this.questions).toHaveCount(before + 1);
    await this.settled();
  }

  /** Chooses what the agent may do in this chat. */
  async permit(permissions: "Allow everything" | "Ask first" | "Read only"): Promise<void> {
    await this.page.getByRole("button", { name: /Permissions|Agent and model/ }).click();
    const dialog = this.page.getByRole("dialog", { name: /Permissions|Agent and model/ });
    await dialog.getByRole("radio", { name: permissions }).check();
    await this.page.keyboard.press("Escape");
    await expect(dialog).toBeHidden();
  }

  /** Waits until the last answer is complete, its receipt included. */
  async settled(): Promise<void> {
    await expect(this.stop).toBeHidden({ timeout: 90_000 });
    await expect(this.conversation.locator(".message").last()).toHaveClass(/agent/);
    await expect(this.lastAnswer.locator(".receipt")).toBeVisible();
  }

  /** Waits until this much of the last answer's prose is there, and more is to come. */
  async inTheMiddleOfText(characters = 400): Promise<void> {
    await expect
      .poll(async () => (await this.prose()).length, { timeout: 60_000 })
      .toBeGreaterThan(characters);
    await expect(this.stop).toBeVisible();
  }

  /** The prose of an answer: no tools, buttons and figures, and no white space, which is layout. */
  async prose(answer = this.lastAnswer): Promise<string> {
    const texts = await answer.locator(".prose").evaluateAll((all) =>
      all.map((prose) => {
        const copy = prose.cloneNode(true) as Element;
        for (const button of copy.querySelectorAll("button")) button.remove();
        return copy.textContent ?? "";
      }),
    );
    return texts.join("").replace(/\s+/g, "");
  }

  /** How much wider the page and the conversation are than what shows them, in pixels. */
  async overflow(): Promise<{ page: number; conversation: number }> {
    return this.conversation.evaluate((log) => {
      const of = (element: Element) => element.scrollWidth - element.clientWidth;
      return { page: of(document.documentElement), conversation: of(log) };
    });
  }

  /** Scrolls all the way up, and waits for the earlier messages that come then. */
  async scrollToEarlier(): Promise<void> {
    const before = await this.questions.count();
    await this.conversation.evaluate((log) => log.scrollTo(0, 0));
    await expect.poll(() => this.questions.count()).toBeGreaterThan(before);
  }

  /** The chat that is open, from the address. */
  async chatId(): Promise<string> {
    await this.page.waitForURL(/\/chat\/./);
    return new URL(this.page.url()).pathname.split("/")[2] ?? "";
  }
}
