// What goes over the wire while an answer is written.

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
