/**
 * The state as an object in a bucket, which runs of several machines share. A lease beside it (`<key>.lock`) keeps them apart.
 * Where a lease fails, because its holder was frozen for longer than it lasts, the state's own ETags do: a new holder first
 * writes the state anew, as it found it, so whatever the former one still tries to write meets another ETag.
 */
import { randomUUID } from "node:crypto";
import { z } from "zod";
import { type Lease, LeaseHeldError, readLease, takeLease } from "../../ops/engine/lease.ts";
import { describeRun, type RunIdentity } from "../../ops/engine/run-identity.ts";
import type { StateBucket, StateBucketSettings } from "../../ops/engine/state-bucket.ts";
import { AbortedError, StateFormatError, StateLockedError, StateLostError } from "./errors.ts";
import type { LockedState, StateLockHolder, StatePlace } from "./state-place.ts";

const format = "trading-lab-state-object-1";
const objectSchema = z.object({
  format: z.literal(format),
  /** Of the lease under which it was written. */
  generation: z.number().int(),
  /** New at each write: makes each ETag another one. */
  serial: z.string(),
  /** The encrypted state; null when nothing is left of the stack. The object stays, so that its ETags never begin anew. */
  state: z.string().nullable(),
});
type StateObject = z.infer<typeof objectSchema>;

/** How the bucket is reached. */
export interface StateObjectSettings extends Omit<StateBucketSettings, "bucket"> {
  /** Not renewed for so long, a run counts as dead, in ms. Default: 60,000. */
  leaseMs?: number | undefined;
}

/** Arguments of {@link SharedState}. */
export interface SharedStateArguments {
  bucket: StateBucket;
  key: string;
  /** A folder of this machine: processes are its own, the state is not. */
  processes: string;
  /** Who works on it, for others. */
  holder: RunIdentity;
  leaseMs?: number | undefined;
  /** Ends the wait for a run of which it is not known whether it lives. */
  signal?: AbortSignal | undefined;
}

/** @returns bucket and key of `s3://bucket/key`; undefined for anything else. */
export function stateObjectAt(location: string): { bucket: string; key: string } | undefined {
  const [, bucket, key] = /^s3:\/\/([^/]+)\/(.+)$/.exec(location) ?? [];
  return bucket === undefined || key === undefined ? undefined : { bucket, key };
}

/** See the module's description. */
export class SharedState implements StatePlace {
  readonly name: string;
  readonly processes: string;
  readonly #args: SharedStateArguments;
  readonly #bucket: StateBucket;
  readonly #key: string;

  constructor(args: SharedStateArguments) {
    const { bucket, key, processes } = args;
    this.name = `${bucket.name}/${key}`;
    this.processes = processes;
    this.#args = args;
    this.#bucket = bucket;
    this.#key = key;
  }

  async read(): Promise<string | undefined> {
    return (await this.#find())?.object.state ?? undefined;
  }

  async lock(): Promise<LockedState> {
    const { holder, leaseMs, signal } = this.#args;
    let lease: Lease;
    try {
      lease = await takeLease({
        bucket: this.#bucket,
        key: `${this.#key}.lock`,
        holder,
        floor: async () => (await this.#find())?.object.generation ?? 0,
        ...(leaseMs === undefined ? {} : { leaseMs }),
        ...(signal === undefined ? {} : { signal }),
      });
    } catch (error) {
      if (signal?.aborted === true) throw new AbortedError("The wait for another run");
      if (!(error instanceof LeaseHeldError)) throw error;
      throw new StateLockedError(this.name, describeRun(error.holder), error.holder.pid, error.message);
    }
    try {
      return await this.#fence(lease);
    } catch (error) {
      await lease.release();
      throw error;
    }
  }

  async lockHolder(): Promise<StateLockHolder | undefined> {
    const lease = await readLease(this.#bucket, `${this.#key}.lock`);
    if (lease?.holder == null) return undefined;
    return { pid: lease.holder.pid, text: describeRun(lease.holder), isAlive: lease.isAlive };
  }

  close(): void {
    this.#bucket.close();
  }

  async #find(): Promise<{ object: StateObject; etag: string } | undefined> {
    const found = await this.#bucket.get(this.#key);
    if (found === undefined) return undefined;
    try {
      return { object: objectSchema.parse(JSON.parse(found.text)), etag: found.etag };
    } catch (error) {
      throw new StateFormatError(
        this.name,
        `this is not a shared state of the lab engine (${format}): ${(error as Error).message}`,
      );
    }
  }

  /** Writes the state anew under this lease, so that no former holder can write any more. */
  async #fence(lease: Lease): Promise<LockedState> {
    for (;;) {
      const found = await this.#find();
      const { generation = 0, state = null } = found?.object ?? {};
      if (generation > lease.generation) throw this.#lostTo(lease);
      const etag = await this.#put(lease, state, found?.etag);
      // A former holder was just faster: what it wrote counts, and is the last it writes.
      if (etag === undefined) continue;
      return this.#locked(lease, { state, etag });
    }
  }

  #put(lease: Lease, state: string | null, etag: string | undefined): Promise<string | undefined> {
    const object: StateObject = { format, generation: lease.generation, serial: randomUUID(), state };
    const condition = etag === undefined ? "if-absent" : { ifMatch: etag };
    return this.#bucket.put(this.#key, `${JSON.stringify(object)}\n`, condition);
  }

  #locked(lease: Lease, begun: { state: string | null; etag: string }): LockedState {
    let { state, etag } = begun;
    const holder = lease.predecessor?.holder;
    const lost = new AbortController();
    const lose = (): void => lost.abort(this.#lostTo(lease));
    lease.lost.addEventListener("abort", lose, { once: true });
    const put = async (next: string | null): Promise<void> => {
      lost.signal.throwIfAborted();
      const written = await this.#put(lease, next, etag);
      if (written === undefined) lose();
      lost.signal.throwIfAborted();
      etag = written ?? etag;
      state = next;
    };
    return {
      name: this.name,
      read: () => Promise.resolve(state ?? undefined),
      write: (text) => put(text),
      remove: () => put(null),
      lost: lost.signal,
      takenFrom: holder == null ? undefined : describeRun(holder),
      release: async () => {
        lease.lost.removeEventListener("abort", lose);
        await lease.release();
      },
    };
  }

  #lostTo({ lost }: Lease): StateLostError {
    const why = lost.aborted ? ` ${(lost.reason as Error).message}` : "";
    return new StateLostError(this.name, why);
  }
}
