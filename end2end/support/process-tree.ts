// Which processes descend from one of ours, as the kernel tells it.
import { readdirSync, readFileSync } from "node:fs";

/** A process, told apart from a later one with the same number by the time of its start. */
export interface Sighting {
  pid: number;
  started: string;
  command: string;
}

interface Entry extends Sighting {
  parent: number;
  state: string;
}

/** The process and everything below it. */
export function familyOf(pid: number): Sighting[] {
  const entries = allProcesses();
  const family: Entry[] = entries.filter((entry) => entry.pid === pid);
  for (const member of family) {
    family.push(...entries.filter((entry) => entry.parent === member.pid));
  }
  return family;
}

/** Those of the processes that are still running. */
export function survivors(sightings: Sighting[]): Sighting[] {
  const entries = allProcesses();
  return sightings.filter((seen) =>
    entries.some(
      (entry) => entry.pid === seen.pid && entry.started === seen.started && entry.state !== "Z",
    ),
  );
}

function allProcesses(): Entry[] {
  const numbers = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  return numbers.flatMap((number) => readProcess(number) ?? []);
}

function readProcess(number: string): Entry | undefined {
  try {
    const stat = readFileSync(`/proc/${number}/stat`, "utf8");
    // The name in brackets may hold anything; what follows it is numbers.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const command = readFileSync(`/proc/${number}/cmdline`, "utf8").replaceAll("\0", " ").trim();
    return {
      pid: Number(number),
      state: fields[0] ?? "",
      parent: Number(fields[1]),
      started: fields[19] ?? "",
      command,
    };
  } catch {
    return undefined; // It ended while we looked.
  }
}
