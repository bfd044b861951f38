/** SIMULATED: a bucket in memory, whose server has a clock of its own, and machines that can be frozen. */
import { randomUUID } from "node:crypto";
import type { SharedObject, StateBucket, WriteCondition } from "../state-bucket.ts";

/** See the module's description. */
export class SimulatedBucket {
  readonly #objects = new Map<string, { text: string; etag: string; writtenAt: number }>();
  #aheadMs = 0;
  /** Whether the server overlooks the conditions of writes. */
  ignoresConditions = false;

  /** Moves the server's clock ahead. */
  pass(ms: number): void {
    this.#aheadMs += ms;
  }

  /** The bucket as one machine reaches it. */
  machine(): SimulatedMachine {
    return new SimulatedMachine(this);
  }

  now(): number {
    return performance.now() + this.#aheadMs;
  }

  get(key: string): SharedObject | undefined {
    const found = this.#objects.get(key);
    return found && { text: found.text, etag: found.etag, ageMs: this.now() - found.writtenAt };
  }

  put(key: string, text: string, condition: WriteCondition): string | undefined {
    const found = this.#objects.get(key);
    const holds = condition === "if-absent" ? found === undefined : found?.etag === condition.ifMatch;
    if (!holds && !this.ignoresConditions) return undefined;
    const etag = randomUUID();
    this.#objects.set(key, { text, etag, writtenAt: this.now() });
    return etag;
  }

  keys(prefix: string): string[] {
    return [...this.#objects.keys()].filter((key) => key.startsWith(prefix));
  }

  remove(key: string): void {
    this.#objects.delete(key);
  }
}

/** A machine's view; while it is frozen, none of its requests arrives. */
export class SimulatedMachine implements StateBucket {
  readonly name = "s3://simulated";
  readonly #bucket: SimulatedBucket;
  #thawed: Promise<void> = Promise.resolve();
  #thaw: () => void = () => undefined;

  constructor(bucket: SimulatedBucket) {
    this.#bucket = bucket;
  }

  freeze(): void {
    this.#thawed = new Promise((resolve) => (this.#thaw = resolve));
  }

  thaw(): void {
    this.#thaw();
  }

  async get(key: string): Promise<SharedObject | undefined> {
    await this.#thawed;
    return this.#bucket.get(key);
  }

  async put(key: string, text: string, condition: WriteCondition): Promise<string | undefined> {
    await this.#thawed;
    return this.#bucket.put(key, text, condition);
  }

  async list(prefix: string): Promise<string[]> {
    await this.#thawed;
    return this.#bucket.keys(prefix);
  }

  async remove(key: string): Promise<void> {
    await this.#thawed;
    this.#bucket.remove(key);
  }

  close(): void {}
}
