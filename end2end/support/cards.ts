// What agents may ask, for pictures: put into what the server says of a chat.
import type { Page } from "@playwright/test";

interface Field {
  key: string;
  kind: string;
  [more: string]: unknown;
}

export interface Asked {
  status: "pending" | "accepted" | "declined" | "cancelled" | "expired";
  request: {
    id: string;
    kind: string;
    title: string;
    body?: string;
    subject?: string;
    answerSpec: { fields: Field[] };
  };
  answer?: Record<string, unknown>;
}

const GRANT = {
  key: "grant",
  kind: "select",
  required: true,
  options: [
    { value: "allow_once" },
    { value: "allow_session", description: "All commands in this chat." },
    { value: "deny" },
  ],
};

const FEEDBACK = { key: "feedback", kind: "text", label: "What the agent should do instead" };

export const QUESTION: Asked = {
  status: "pending",
  request: {
    id: "question",
    kind: "question",
    title: "Which database should the service use?",
    answerSpec: {
      fields: [
        {
          key: "database",
          kind: "select",
          required: true,
          allowCustom: true,
          options: [
            { value: "sqlite", label: "SQLite", description: "One file, nothing to run" },
            { value: "postgres", label: "Postgres", description: "For several servers at once" },
          ],
        },
      ],
    },
  },
};

export const QUESTIONS: Asked = {
  status: "pending",
  request: {
    id: "questions",
    kind: "question",
    title: "Before I set up the project",
    answerSpec: {
      fields: [
        {
          key: "language",
          kind: "select",
          label: "In which language?",
          required: true,
          options: [
            { value: "rust", label: "Rust" },
            { value: "python", label: "Python" },
          ],
        },
        {
          key: "extras",
          kind: "select",
          label: "What else do you want?",
          multi: true,
          options: [
            { value: "tests", label: "Tests" },
            { value: "ci", label: "A workflow that runs them" },
            { value: "docs", label: "A page of documentation" },
          ],
        },
        { key: "name", kind: "text", label: "What is it called?", required: true },
      ],
    },
  },
};

export const PERMISSION: Asked = {
  status: "pending",
  request: {
    id: "permission",
    kind: "permission",
    title: "Run a command",
    subject: "rm -rf build && cargo build --release 2>&1 | tee build.log",
    answerSpec: { fields: [GRANT, FEEDBACK] },
  },
};

/** As long as what an agent shows can be. Its last line is `The end of it.` */
export const LONG_CHANGE: Asked = {
  status: "pending",
  request: {
    id: "change",
    kind: "permission",
    title: "Change a file",
    subject: `src/${"a_folder_in_a_folder/".repeat(12)}mod.rs`,
    body: [
      "```diff",
      ...Array.from({ length: 900 }, (_, at) => `+line ${at + 1} ${"x".repeat(88)}`),
      "```",
      "",
      "The end of it.",
    ].join("\n"),
    answerSpec: { fields: [GRANT, FEEDBACK] },
  },
};

export const PLAN: Asked = {
  status: "pending",
  request: {
    id: "plan",
    kind: "plan",
    title: "Move the sessions into the database",
    body: [
      "1. Add a table `sessions` with an index on its end.",
      "2. Write and read it in `store.rs`, in place of the map in memory.",
      "3. Remove ended sessions **once a minute**.",
      "",
      "The tests stay as they are; two new ones restart the server in between.",
    ].join("\n"),
    answerSpec: { fields: [FEEDBACK] },
  },
};

/** Opens the chat of the page with these in its last answer, as if its agent had asked. */
export async function openWith(page: Page, chatId: string, asked: Asked[]): Promise<void> {
  const parts = asked.map((part) => ({ type: "interaction", ...part, id: part.request.id }));
  const waits = asked.some(({ status }) => status === "pending");
  await page.route("**/api/open_chat", async (route) => {
    const response = await route.fetch();
    const chat = (await response.json()) as {
      messages: { turn_id: string; parts: unknown[] }[];
      active: unknown;
    };
    const last = chat.messages.at(-1);
    if (last && waits) {
      chat.messages.pop();
      const [turn_id, started_at] = [last.turn_id, Date.now()];
      chat.active = { turn_id, state: "running", started_at, notice: null, waiting: parts };
    } else if (last) {
      last.parts = [...parts, ...last.parts];
    }
    await route.fulfill({ response, json: chat });
  });
  // Nobody follows what does not go on.
  await page.route("**/api/turn_status", () => {});
  await page.goto("/");
  await page.locator("html[data-hydrated]").waitFor({ state: "attached" });
  const menu = page.getByRole("button", { name: "Open the chats" });
  if (await menu.isVisible()) await menu.click();
  await page.locator(`.chat-row > a[href="/chat/${chatId}"]`).click();
}
