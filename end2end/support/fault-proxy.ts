import { createServer, Socket, type AddressInfo, type Server } from "node:net";

/** Stands between a browser and the gateway, and breaks the network on request. */
export class FaultProxy {
  readonly #server: Server;
  readonly #target: number;
  readonly #sockets = new Set<Socket>();
  #refusing = false;
  #swallowing = false;
  #delayMs = 0;
  /** Connections that were accepted and passed on, since the start. */
  accepted = 0;

  private constructor(target: number) {
    this.#target = target;
    this.#server = createServer((client) => this.#accept(client));
  }

  static async start(target: number, port: number): Promise<FaultProxy> {
    const proxy = new FaultProxy(target);
    await new Promise<void>((resolve, reject) => {
      proxy.#server.once("error", reject);
      proxy.#server.listen(port, "127.0.0.1", resolve);
    });
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Connections that stand now. */
  get open(): number {
    return this.#sockets.size / 2;
  }

  /** Breaks every connection and refuses new ones. */
  cut(): void {
    this.#refusing = true;
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  /** Breaks every connection; the next one works. */
  reset(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  /** Nothing arrives any more, and nobody is told: the cable is pulled. */
  swallow(): void {
    this.#swallowing = true;
  }

  /** Holds back everything for this long, in both directions. */
  delay(milliseconds: number): void {
    this.#delayMs = milliseconds;
  }

  /** Back to a network that works. Connections whose data was swallowed are of no use any more. */
  restore(): void {
    if (this.#swallowing) this.reset();
    this.#refusing = false;
    this.#swallowing = false;
    this.#delayMs = 0;
  }

  async stop(): Promise<void> {
    this.cut();
    await new Promise((done) => this.#server.close(done));
  }

  #accept(client: Socket): void {
    if (this.#refusing) {
      client.resetAndDestroy();
      return;
    }
    this.accepted += 1;
    const upstream = new Socket();
    upstream.connect(this.#target, "127.0.0.1");
    this.#forward(client, upstream);
    this.#forward(upstream, client);
  }

  #forward(from: Socket, to: Socket): void {
    this.#sockets.add(from);
    from.setNoDelay(true);
    from.on("data", (chunk) => {
      if (this.#swallowing) return;
      if (this.#delayMs === 0) to.write(chunk);
      else setTimeout(() => to.writable && to.write(chunk), this.#delayMs);
    });
    from.on("end", () => to.end());
    from.on("error", () => to.destroy());
    from.on("close", () => {
      this.#sockets.delete(from);
      to.destroy();
    });
  }
}
