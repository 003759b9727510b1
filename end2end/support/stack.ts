import { randomBytes } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { binaries, siteRoot } from "./environment.ts";
import { FaultProxy } from "./fault-proxy.ts";
import { freePorts } from "./ports.ts";
import { Program } from "./program.ts";

export interface StackOptions {
  /** In the server's process, as a fresh clone runs it, or beside it, as a deployment does. */
  orchestrator?: "embedded" | "separate";
  /** Pause between two pieces of the demo agent's text; 0 is as fast as possible. */
  paceMs?: number;
  guestCredits?: number;
  /** Puts a network that can be broken between the browser and the gateway. */
  breakable?: boolean;
  /** Text of the price file, in place of the product's own. */
  prices?: string;
  /** More of the environment of the server, and of the orchestrator beside it. */
  environment?: Record<string, string>;
}

/** Name of the price file in the data folder. */
const PRICES = "prices.toml";

/** A whole product: real server, real orchestrator, real sandboxes, data of its own. */
export class Stack {
  readonly url: string;
  readonly data: string;
  readonly server: Program;
  /** Only when it runs beside the server. */
  readonly orchestrator: Program | undefined;
  /** Only when `breakable`. */
  readonly network: FaultProxy | undefined;
  readonly #orchestratorUrl: string;
  readonly #keys: Keys;

  private constructor(data: string, options: StackOptions, ports: Ports, network?: FaultProxy) {
    this.data = data;
    this.url = `http://127.0.0.1:${ports.web}`;
    this.#orchestratorUrl = `http://127.0.0.1:${ports.orchestrator}`;
    this.#keys = newKeys();
    this.network = network;
    const separate = options.orchestrator === "separate";
    const shared = {
      SKEIN_ORCHESTRATOR_ADDR: `127.0.0.1:${ports.orchestrator}`,
      // No model of this machine takes part.
      SKEIN_LOCAL_MODELS: "off",
      SKEIN_DEMO_PACE_MS: String(options.paceMs ?? 0),
      ...(separate ? this.#keys : {}),
    };
    this.server = new Program("server", binaries.server, data, {
      ...shared,
      SKEIN_ADDR: `127.0.0.1:${ports.web}`,
      SKEIN_DATA: join(data, separate ? "web" : "data"),
      SKEIN_SITE_ROOT: siteRoot,
      // Everybody in a test comes from the same address.
      SKEIN_GUESTS_PER_HOUR: "0",
      // And types faster than a person.
      SKEIN_TURNS_PER_MINUTE: "0",
      ...(separate ? { TANGLE_ORCHESTRATOR_URL: this.#orchestratorUrl } : {}),
      ...(network ? { SKEIN_GATEWAY_URL: `ws://127.0.0.1:${network.port}/session` } : {}),
      ...(options.guestCredits === undefined
        ? {}
        : { SKEIN_GUEST_CREDITS: String(options.guestCredits) }),
      ...(options.prices === undefined ? {} : { SKEIN_PRICES: join(data, PRICES) }),
      ...options.environment,
    });
    if (separate) {
      this.orchestrator = new Program("orchestrator", binaries.orchestrator, data, {
        ...shared,
        SKEIN_DATA: join(data, "orchestrator"),
        SKEIN_WEBHOOK_URL: `${this.url}/webhooks/orchestrator`,
        SKEIN_ALLOWED_ORIGINS: this.url,
        ...options.environment,
      });
    }
  }

  static async start(options: StackOptions = {}): Promise<Stack> {
    const data = await mkdtemp(join(tmpdir(), "skein-test-"));
    const [web = 0, orchestrator = 0, proxy = 0] = await freePorts(3);
    const network = options.breakable ? await FaultProxy.start(orchestrator, proxy) : undefined;
    if (options.prices !== undefined) await writeFile(join(data, PRICES), options.prices);
    const stack = new Stack(data, options, { web, orchestrator }, network);
    try {
      await stack.startOrchestrator();
      await stack.startServer();
    } catch (error) {
      await stack.stop();
      throw error;
    }
    return stack;
  }

  async startServer(): Promise<void> {
    await this.server.start(`${this.url}/readyz`);
  }

  async startOrchestrator(): Promise<void> {
    await this.orchestrator?.start(`${this.#orchestratorUrl}/health`);
  }

  /** Calls the orchestrator's own API, as the server does. */
  async orchestratorCall<Body = unknown>(
    method: string,
    path: string,
    body?: object,
  ): Promise<Body> {
    const response = await this.#askOrchestrator(method, path, body);
    const text = await response.text();
    return (text === "" ? null : JSON.parse(text)) as Body;
  }

  /** Events of the orchestrator's own API as they come, their data parsed. */
  async *orchestratorEvents<Data>(path: string): AsyncGenerator<{ type: string; data: Data }> {
    const response = await this.#askOrchestrator("GET", path);
    let text = "";
    for await (const piece of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
      const frames = (text + piece).split("\n\n");
      text = frames.pop() ?? "";
      for (const frame of frames) {
        const type = /^event: (.*)$/m.exec(frame)?.[1];
        const data = /^data: (.*)$/m.exec(frame)?.[1];
        if (type && data) yield { type, data: JSON.parse(data) as Data };
      }
    }
  }

  async #askOrchestrator(method: string, path: string, body?: object): Promise<Response> {
    const response = await fetch(`${this.#orchestratorUrl}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${this.#keys.TANGLE_API_KEY}`,
        "content-type": "application/json",
      },
      ...(body ? { body: JSON.stringify(body) } : {}),
    });
    if (response.ok) return response;
    throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
  }

  /** Everything the programs have logged. */
  get log(): string {
    return [this.server, this.orchestrator]
      .flatMap((program) => (program ? [`--- ${program.name}\n${program.log}`] : []))
      .join("\n");
  }

  /** Stops everything, removes the data, and fails if anything was left behind or told. */
  async stop(): Promise<void> {
    const programs = [this.server, this.orchestrator].filter((program) => program !== undefined);
    const secrets = await this.#secrets();
    try {
      for (const program of programs) await program.stop();
      for (const program of programs) {
        const left = await program.leftovers();
        if (left.length > 0) {
          throw new Error(`${program.name} left behind: ${JSON.stringify(left, null, 2)}`);
        }
      }
      const told = secrets.filter((secret) => this.log.includes(secret)).length;
      if (told > 0 || /\beyJ[\w-]{8,}\.[\w-]+\.[\w-]+/.test(this.log)) {
        throw new Error("a secret or a token was written to the log");
      }
    } finally {
      await this.network?.stop();
      await rm(this.data, { recursive: true, force: true });
    }
  }

  async #secrets(): Promise<string[]> {
    const files = ["data", "web", "orchestrator"].map((folder) =>
      readFile(join(this.data, folder, "secrets.toml"), "utf8").catch(() => ""),
    );
    const made = (await Promise.all(files)).join("\n").match(/orch_\w+_[0-9a-f]{16,}/g) ?? [];
    return [...made, this.#keys.TANGLE_API_KEY, this.#keys.ORCHESTRATOR_SIGNING_SECRET];
  }
}

interface Ports {
  web: number;
  orchestrator: number;
}

type Keys = ReturnType<typeof newKeys>;

function newKeys() {
  const random = () => randomBytes(32).toString("hex");
  return {
    TANGLE_API_KEY: `orch_prod_${random()}`,
    ORCHESTRATOR_PRODUCT_ID: "skein",
    ORCHESTRATOR_SIGNING_SECRET: `orch_sign_${random()}`,
  };
}
