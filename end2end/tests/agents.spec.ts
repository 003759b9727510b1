// The coding agents that are installed, as a person uses them: their real programs, a model that says
// what it is told to.
import { messages } from "../support/api.ts";
import { ScriptedModel } from "../support/scripted-model.ts";
import { expect, test } from "../support/test.ts";

test.use({
  stackOptions: async ({}, use) => {
    const model = await ScriptedModel.start();
    const agents = process.env.SKEIN_AGENTS;
    await use({
      environment: {
        SKEIN_MODEL_URL: model.url,
        SKEIN_MODEL_FORMATS: "messages,responses,chat-completions",
        SKEIN_AGENT: "skein",
        ...(agents ? { SKEIN_AGENTS: agents } : {}),
      },
    });
    await model.stop();
  },
});

for (const name of ["OpenCode", "Claude Code", "Codex"]) {
  test(`${name} is chosen, works in the sandbox, goes on where it was, and is billed by the model's figures`, async ({
    chat,
    page,
  }) => {
    // The server does not wait long to hear what there is to choose from.
    await expect(async () => {
      await chat.open("/");
      await expect(page.getByRole("button", { name: /Agent and model/ })).toBeVisible({
        timeout: 1_000,
      });
    }).toPass();
    const line = page.getByRole("button", { name: /Agent and model/ });
    await line.click();
    const dialog = page.getByRole("dialog", { name: "Agent and model" });
    const agent = dialog.getByRole("radio", { name });
    test.skip(await agent.isDisabled(), `${name} is not installed`);
    await agent.check();
    await page.keyboard.press("Escape");
    await expect(line).toHaveText(new RegExp(`${name} · scripted-1`));

    await chat.askAndWait(
      "USAGE[1000,200] RUN[echo real > proof.txt; cat proof.txt] SAY[There it is.]",
    );
    expect(await chat.prose()).toBe("Thereitis.");
    await expect(chat.lastAnswer.locator(".step")).toHaveCount(1);
    await chat.askAndWait("USAGE[1000,200] RUN[cat proof.txt] SAY[It still is.]");
    expect(await chat.prose()).toBe("Itstillis.");
    await chat.lastAnswer.locator(".step > summary").click();
    await expect(chat.lastAnswer.locator(".step")).toContainText("real");

    for (const { role, receipt } of await messages(page, await chat.chatId())) {
      if (role === "user") continue;
      const requests = (receipt?.input_tokens ?? 0) / 1_000;
      expect(requests, "one for the command, one with what came of it").toBeGreaterThanOrEqual(2);
      expect(receipt?.output_tokens).toBe(requests * 200);
      expect(receipt?.charged).toBe(requests * (1_000 * 100 + 200 * 400));
    }
    const shown = await chat.lastAnswer.locator(".receipt").textContent();
    await chat.reload();
    await expect(line).toHaveText(new RegExp(`${name} · scripted-1`));
    await expect(chat.lastAnswer.locator(".receipt")).toHaveText(shown ?? "");
  });
}
