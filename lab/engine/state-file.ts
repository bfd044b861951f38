/** The state in a file, which only runs of this machine share. */
import { mkdir, open, readFile, rename, rm } from "node:fs/promises";
import path from "node:path";
import { lockHolder, lockState } from "./state-lock.ts";
import type { LockedState, StateAccess, StateLockHolder, StatePlace } from "./state-place.ts";

/** See the module's description. */
export class StateFile implements StatePlace, StateAccess {
  readonly name: string;
  readonly processes: string;

  /** @param file its path; made by the first write. */
  constructor(file: string) {
    this.name = path.resolve(file);
    this.processes = `${this.name}.processes`;
  }

  async read(): Promise<string | undefined> {
    try {
      return await readFile(this.name, "utf8");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      throw error;
    }
  }

  async write(text: string): Promise<void> {
    await mkdir(path.dirname(this.name), { recursive: true });
    const temporary = `${this.name}.${process.pid}.tmp`;
    try {
      const handle = await open(temporary, "w", 0o600);
      try {
        await handle.writeFile(text);
        await handle.datasync();
      } finally {
        await handle.close();
      }
      await rename(temporary, this.name);
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    }
  }

  async remove(): Promise<void> {
    await rm(this.name, { force: true });
  }

  async lock(): Promise<LockedState> {
    const lock = await lockState(this.name);
    return {
      name: this.name,
      read: () => this.read(),
      write: (text) => this.write(text),
      remove: () => this.remove(),
      // Nobody takes over from a process that lives, frozen or not.
      lost: new AbortController().signal,
      release: () => lock.release(),
    };
  }

  lockHolder(): Promise<StateLockHolder | undefined> {
    return lockHolder(this.name);
  }

  close(): void {}
}
