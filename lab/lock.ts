/** A lock file that names its holder, so that a stale one (its process is gone) is recognised and taken over. */
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { exitCodes, LabError } from "./errors.ts";
import { startTime } from "./processes.ts";

/** Removes the lock file; safe to call twice. */
export type ReleaseLock = () => void;

/**
 * Takes a lock for this process.
 * @param file the lock file; its folder must exist.
 * @param message what to tell when somebody else holds it; the holder's pid is added.
 * @throws LabError (exit code 3) when a living process holds the lock.
 */
export function acquireLock(file: string, message: string): ReleaseLock {
  const own = `${process.pid} ${startTime(process.pid) ?? "unknown"}`;
  // Written whole before it takes its name: nobody ever reads half a lock.
  const draft = `${file}.${process.pid}`;
  writeFileSync(draft, own);
  try {
    for (let attempt = 0; attempt < 5; attempt++) {
      try {
        linkSync(draft, file);
        return () => {
          if (readHolder(file) === own) rmSync(file, { force: true });
        };
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
      }
      const holder = readHolder(file);
      if (holder === undefined) continue;
      const [pid, started] = holder.split(" ");
      if (started !== undefined && startTime(Number(pid)) === started) {
        throw new LabError(`${message} (process ${pid}).`, exitCodes.busy);
      }
      removeStale(file, holder);
    }
    throw new LabError(`${message} (the lock ${file} changes hands).`, exitCodes.busy);
  } finally {
    rmSync(draft, { force: true });
  }
}

/** Moves a stale lock aside; when another process has just taken it over, its lock is put back. */
function removeStale(file: string, stale: string): void {
  const aside = `${file}.stale.${process.pid}`;
  try {
    renameSync(file, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
    throw error;
  }
  if (readHolder(aside) !== stale) linkSync(aside, file);
  rmSync(aside, { force: true });
}

function readHolder(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
}
