/**
 * One run at a time on a state. The lock is a file with the owner's pid, start time and boot; it counts only
 * while exactly that process lives, so a killed run blocks nobody.
 */
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { link, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";
import { startTime } from "../processes.ts";
import { StateLockedError } from "./errors.ts";
import type { StateLockHolder } from "./state-place.ts";

const ownerSchema = z.object({
  id: z.uuid(),
  pid: z.number().int(),
  /** Field 22 of /proc/<pid>/stat, see proc(5); a reused pid has another. */
  startTime: z.string(),
  /** /proc/sys/kernel/random/boot_id: start times are counted from boot. */
  boot: z.string(),
});
type Owner = z.infer<typeof ownerSchema>;

function bootId(): string {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  } catch {
    return "";
  }
}

function isAlive(owner: Owner): boolean {
  const started = startTime(owner.pid);
  if (started !== undefined) return owner.boot === bootId() && owner.startTime === started;
  if (owner.startTime !== "") return false;
  // No /proc on this system: the pid alone must do.
  try {
    process.kill(owner.pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** `undefined`: no such file. `"damaged"`: not a lock of ours (locks appear whole, so nobody alive wrote it). */
async function readOwner(file: string): Promise<Owner | "damaged" | undefined> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
  try {
    return ownerSchema.parse(JSON.parse(text));
  } catch {
    return "damaged";
  }
}

/** Creates `file` with the owner in it, whole or not at all. */
async function place(file: string, owner: Owner): Promise<boolean> {
  const temporary = `${file}.${randomUUID()}`;
  await writeFile(temporary, JSON.stringify(owner), { mode: 0o600 });
  try {
    await link(temporary, file);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  } finally {
    await rm(temporary, { force: true });
  }
}

/** A lock that this process holds. */
export interface StateLock {
  release(): Promise<void>;
}

/**
 * Takes the lock `<stateFile>.lock`.
 * @throws StateLockedError when a live process holds it
 */
export async function lockState(stateFile: string): Promise<StateLock> {
  const file = `${stateFile}.lock`;
  await mkdir(path.dirname(file), { recursive: true });
  const self: Owner = {
    id: randomUUID(),
    pid: process.pid,
    startTime: startTime(process.pid) ?? "",
    boot: bootId(),
  };
  for (;;) {
    if (await place(file, self)) {
      return {
        async release() {
          const owner = await readOwner(file);
          if (typeof owner === "object" && owner.id === self.id) await rm(file, { force: true });
        },
      };
    }
    const owner = await readOwner(file);
    if (owner === undefined) continue;
    if (owner !== "damaged" && isAlive(owner))
      throw new StateLockedError(stateFile, `process ${owner.pid}`, owner.pid);
    await breakLock(file, owner, self);
  }
}

/** Who holds the lock `<stateFile>.lock`. @returns undefined when nobody does */
export async function lockHolder(stateFile: string): Promise<StateLockHolder | undefined> {
  const owner = await readOwner(`${stateFile}.lock`);
  if (owner === undefined || owner === "damaged") return undefined;
  return { pid: owner.pid, text: `process ${owner.pid}`, isAlive: isAlive(owner) };
}

/**
 * Removes the lock of a dead owner. Only one process at a time may remove this very lock (it claims it first) and
 * it looks again after claiming, so a lock that a third process took in between is never removed.
 */
async function breakLock(file: string, dead: Owner | "damaged", self: Owner): Promise<void> {
  const deadId = dead === "damaged" ? "damaged" : dead.id;
  const claim = `${file}.breaking-${deadId}`;
  if (!(await place(claim, self))) {
    const breaker = await readOwner(claim);
    if (breaker === undefined || (breaker !== "damaged" && isAlive(breaker))) {
      await delay(10);
    } else {
      await rm(claim, { force: true });
    }
    return;
  }
  try {
    const now = await readOwner(file);
    const nowId = now === undefined ? undefined : now === "damaged" ? "damaged" : now.id;
    if (nowId === deadId) await rm(file, { force: true });
  } finally {
    await rm(claim, { force: true });
  }
}
