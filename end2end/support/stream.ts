// What goes over the wire while an answer is written.
import type { Page } from "@playwright/test";

/** A change to a part of an answer, as the gateway sends it. */
export interface PartUpdate {
  part: { id: string; type: string; text?: string; tool?: string };
  delta?: string;
}

/** Every part anywhere in a frame, however frames nest them. */
export function partUpdates(value: unknown): PartUpdate[] {
  if (typeof value !== "object" || value === null) return [];
  const update = value as Partial<PartUpdate>;
  const own = typeof update.part?.type === "string" ? [update as PartUpdate] : [];
  return [...own, ...Object.values(value).flatMap(partUpdates)];
}

/**
 * Holds the streams of the page's next documents back, from their first events on. The function that it
 * gives lets so many frames through, or, without a number, all that there are and will be.
 */
export async function holdStream(
  page: Page,
  change = (frame: string) => frame,
): Promise<(frames?: number) => void> {
  const held: (() => void)[] = [];
  let free = 0;
  const flow = () => {
    for (; free > 0 && held.length > 0; free -= 1) held.shift()?.();
  };
  await page.routeWebSocket(/\/session/, (socket) => {
    const server = socket.connectToServer();
    let begun = false;
    server.onMessage((message) => {
      const frame = change(String(message));
      begun ||= frame.includes('"type":"agent.event"');
      if (!begun) return socket.send(frame);
      held.push(() => socket.send(frame));
      flow();
    });
  });
  return (frames = Infinity) => {
    free += frames;
    flow();
  };
}
