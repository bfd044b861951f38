/**
 * Locks of Pulumi's file and object backends, as the CLI names them when it is refused: which of them a dead run has left.
 * Nothing takes them away when their owner is killed (pkg/backend/diy/lock.go).
 */
import { readFile, rm } from "node:fs/promises";
import { hostname } from "node:os";
import { fileURLToPath } from "node:url";

/** One lock in the CLI's message. */
export interface PulumiLock {
  url: string;
  user: string;
  host: string;
  pid: number;
  /** Start of its run. */
  since: Date;
}

/**
 * From this age on a run of another machine counts as dead, in ms. The longest that a run of this program can take is far
 * below: its waits end within an hour and so does the export gate's.
 */
const deadAfterMs = 12 * 3_600_000;

/** Reads the message. @returns nothing for Pulumi Cloud, which does not say who holds the stack and ends such runs itself. */
export function locksIn(message: string): PulumiLock[] {
  const lines = message.matchAll(/^\s*(\S+): created by (\S+)@(\S+) \(pid (\d+)\) at (\S+)\s*$/gm);
  return [...lines].map(([, url = "", user = "", host = "", pid, since = ""]) => ({
    url,
    user,
    host,
    pid: Number(pid),
    since: new Date(since),
  }));
}

/** Whether its run has certainly ended: its process on this machine, or elsewhere by its age alone. */
export async function isDead({ url, host, pid, since }: PulumiLock, now = new Date()): Promise<boolean> {
  // Host names are unique among those who share a folder, but not among runners that share a bucket.
  if (url.startsWith("file:") && host === hostname()) return !(await isPulumi(pid));
  return now.getTime() - since.getTime() > deadAfterMs;
}

/** Whether a Pulumi that might be its holder lives on this machine. */
export async function mayRunHere({ host, pid }: PulumiLock): Promise<boolean> {
  return host === hostname() && (await isPulumi(pid));
}

/**
 * Removes one lock. By its own name, which is never used again: a lock that somebody has taken since stays.
 * @returns false for a backend that this program cannot reach by itself.
 */
export async function removeLock({ url }: PulumiLock): Promise<boolean> {
  if (!url.startsWith("file:")) return false;
  // The CLI adds the backend's options to the name.
  const [plain = url] = url.split("?", 1);
  const file = fileURLToPath(plain);
  await rm(file, { force: true });
  await rm(`${file}.attrs`, { force: true });
  return true;
}

/** A process with this id that is no Pulumi is a later one. Where there is no /proc, any process counts. */
async function isPulumi(pid: number): Promise<boolean> {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EPERM") return false;
  }
  const name = await readFile(`/proc/${pid}/comm`, "utf8").catch(() => undefined);
  return name === undefined || name.includes("pulumi");
}
