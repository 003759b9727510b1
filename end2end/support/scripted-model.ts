import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { binaries } from "./environment.ts";

/** A model server that does what the prompt says: `SAY[text]`, `RUN[command]`, `USAGE[in,out]`. */
export class ScriptedModel {
  readonly url: string;
  readonly #child: ChildProcess;

  private constructor(url: string, child: ChildProcess) {
    this.url = url;
    this.#child = child;
  }

  static async start(): Promise<ScriptedModel> {
    const child = spawn(binaries.model, [], { env: {}, stdio: ["ignore", "ignore", "pipe"] });
    const lines = createInterface({ input: child.stderr });
    // The first thing that it says is where it listens.
    const [url] = await once(lines, "line", { signal: AbortSignal.timeout(30_000) });
    return new ScriptedModel(String(url), child);
  }

  async stop(): Promise<void> {
    const ended = once(this.#child, "exit");
    this.#child.kill();
    await ended;
  }
}
