import { Agent, request } from "node:http";
import type { Page } from "@playwright/test";

export interface Timed<Body> {
  ms: number;
  status: number;
  body: Body;
}

/** Calls server functions over one open connection, and times them. */
export class Caller {
  readonly #url: string;
  readonly #cookie: string;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });

  private constructor(url: string, cookie: string) {
    this.#url = url;
    this.#cookie = cookie;
  }

  /** With the account of a page. */
  static async of(page: Page, url: string): Promise<Caller> {
    const cookies = await page.context().cookies();
    return new Caller(url, cookies.map(({ name, value }) => `${name}=${value}`).join("; "));
  }

  call<Body = unknown>(name: string, body: object = {}): Promise<Timed<Body>> {
    const text = JSON.stringify(body);
    const headers = {
      "content-type": "application/json",
      "content-length": Buffer.byteLength(text),
      accept: "application/json",
      cookie: this.#cookie,
      origin: this.#url,
      "sec-fetch-site": "same-origin",
    };
    const started = performance.now();
    return new Promise((resolve, reject) => {
      const options = { method: "POST", headers, agent: this.#agent };
      const sent = request(`${this.#url}/api/${name}`, options, (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("error", reject);
        response.on("end", () => {
          const ms = performance.now() - started;
          const answer = Buffer.concat(chunks).toString();
          const body = (answer === "" ? null : JSON.parse(answer)) as Body;
          resolve({ ms, status: response.statusCode ?? 0, body });
        });
      });
      sent.on("error", reject);
      sent.end(text);
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}
