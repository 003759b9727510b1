import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { setTimeout as pause } from "node:timers/promises";
import { familyOf, survivors, type Sighting } from "./process-tree.ts";

/** How long a program may take to start or to end, on a slow and busy machine. */
const PATIENCE_MS = 30_000;

/** One of the product's programs, with its log. */
export class Program {
  readonly name: string;
  readonly #binary: string;
  readonly #folder: string;
  readonly #environment: Record<string, string>;
  #child: ChildProcess | undefined;
  #log = "";
  /** Everything that was ever seen to descend from it. */
  #seen: Sighting[] = [];

  constructor(
    name: string,
    binary: string,
    folder: string,
    environment: Record<string, string>,
  ) {
    this.name = name;
    this.#binary = binary;
    this.#folder = folder;
    this.#environment = environment;
  }

  get log(): string {
    return this.#log;
  }

  get running(): boolean {
    return this.#child !== undefined && !hasEnded(this.#child);
  }

  /** Starts it, and waits until `readyUrl` answers with success. */
  async start(readyUrl: string): Promise<void> {
    const child = spawn(this.#binary, [], {
      cwd: this.#folder,
      // Nothing of the tester's own configuration reaches the product.
      env: { PATH: process.env.PATH, HOME: this.#folder, ...this.#environment },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#child = child;
    const take = (chunk: Buffer) => {
      this.#log += chunk.toString();
    };
    child.stdout.on("data", take);
    child.stderr.on("data", take);
    child.on("error", (error) => take(Buffer.from(`${error}\n`)));
    const deadline = Date.now() + PATIENCE_MS;
    while (!(await answers(readyUrl))) {
      if (hasEnded(child) || child.pid === undefined || Date.now() > deadline) {
        throw new Error(`${this.name} did not become ready:\n${this.#log}`);
      }
      await pause(25);
    }
  }

  /** Asks it to end and waits until it has. */
  async stop(): Promise<void> {
    await this.#end("SIGTERM");
  }

  /** Ends it with no chance to tidy up. */
  async kill(): Promise<void> {
    await this.#end("SIGKILL");
  }

  /** Processes that should have ended with it and have not. */
  async leftovers(): Promise<Sighting[]> {
    const deadline = Date.now() + PATIENCE_MS;
    let left = survivors(this.#seen);
    while (left.length > 0 && Date.now() < deadline) {
      await pause(50);
      left = survivors(this.#seen);
    }
    return left;
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    if (child?.pid === undefined || hasEnded(child)) return;
    this.#seen.push(...familyOf(child.pid));
    const ended = once(child, "exit");
    child.kill(signal);
    const late = new AbortController();
    const timer = pause(PATIENCE_MS, "late", { signal: late.signal }).catch(() => "ended");
    if ((await Promise.race([ended, timer])) === "late") {
      child.kill("SIGKILL");
      await ended;
      throw new Error(`${this.name} did not end when asked to:\n${this.#log}`);
    }
    late.abort();
  }
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

async function answers(url: string): Promise<boolean> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(2_000) });
    await response.arrayBuffer();
    return response.ok;
  } catch {
    return false;
  }
}
