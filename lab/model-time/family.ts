/** Processes and their descendants, by /proc. */
import { readdirSync, readFileSync } from "node:fs";

/** A file's text; empty when it is gone, as files of processes are at any moment. */
export function readOrNothing(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}

/** This process and its descendants, by asking every process for its parent. */
export function family(): string[] {
  const children = new Map<string, string[]>();
  for (const pid of readdirSync("/proc")) {
    if (!/^\d+$/.test(pid)) continue;
    const stat = readOrNothing(`/proc/${pid}/stat`);
    // The name stands in brackets and may hold anything; the state and the parent follow it.
    const parent = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1];
    if (parent !== undefined) children.set(parent, [...(children.get(parent) ?? []), pid]);
  }
  const found = [String(process.pid)];
  for (const pid of found) found.push(...(children.get(pid) ?? []));
  return found;
}
