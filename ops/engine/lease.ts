/**
 * A lease: the right to change what stands beside it in a bucket, held by one run and renewed while that run lives. It is an
 * object that is only ever written on the condition that nobody else has, and never removed, so its generations grow for
 * good. Its age is told by the server's clock: runners' clocks may differ.
 */
import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";
import { describeRun, type RunIdentity } from "./run-identity.ts";
import { type StateBucket, StateBucketError } from "./state-bucket.ts";

const format = "trading-lease-1";
const documentSchema = z.object({
  format: z.literal(format),
  /** Grows by one with each holder. */
  generation: z.number().int().positive(),
  /** Null: free. */
  holder: z
    .object({
      user: z.string(),
      host: z.string(),
      pid: z.number().int(),
      run: z.string().nullable(),
      since: z.string(),
    })
    .nullable(),
  /** Whether the server was seen to hold to the conditions of writes. */
  checked: z.boolean().default(false),
  /** Not renewed for so long, it has run out, in ms. */
  leaseMs: z.number().positive(),
  /** When it was last renewed, by the holder's clock: for people. */
  renewed: z.string(),
  /** What the holder notes for its successors. */
  notes: z.record(z.string(), z.unknown()),
  /** New at each write: makes each text, and so each ETag, another one. */
  serial: z.string(),
});
type LeaseDocument = z.infer<typeof documentSchema>;

/** A lease as one finds it. */
export interface FoundLease {
  generation: number;
  /** Null: nobody holds it. */
  holder: RunIdentity | null;
  /** Whether its holder renewed it in time; false when nobody holds it. */
  isAlive: boolean;
  /** Milliseconds since it was written, by the server's clock. */
  ageMs: number;
  /** From the holder's last renewal on, in ms, it counts as dead. */
  leaseMs: number;
  /** RFC 3339, by the holder's clock. */
  renewed: string;
  notes: Readonly<Record<string, unknown>>;
}

/** Somebody else holds the lease and lives. */
export class LeaseHeldError extends Error {
  override readonly name = "LeaseHeldError";
  readonly holder: RunIdentity;

  constructor(key: string, { holder, ageMs, leaseMs }: FoundLease & { holder: RunIdentity }) {
    super(
      `${key} is held by ${describeRun(holder)}, who renewed it ${seconds(ageMs)} ago. Wait until that run ends, or end it: ` +
        `what is not renewed for ${seconds(leaseMs)} is taken over.`,
    );
    this.holder = holder;
  }
}

/** This run held the lease, and does no more: it could not renew it in time, or somebody has taken it over. */
export class LeaseLostError extends Error {
  override readonly name = "LeaseLostError";
}

/** Arguments of {@link takeLease}. */
export interface LeaseArguments {
  bucket: StateBucket;
  key: string;
  holder: RunIdentity;
  /** Default 60,000. It is renewed four times in this time, and lost by itself after three quarters without a renewal. */
  leaseMs?: number;
  /** Its generation is to be above this one; asked when there is no lease, which somebody may have removed. Default: 0. */
  floor?: () => Promise<number>;
  /** Ends the wait for a lease that is about to run out. */
  signal?: AbortSignal;
  /** Told of a holder who may live, as often as it is looked at: whether it lives shows when it renews, or does not. */
  onWait?: (holder: RunIdentity) => void;
}

/** A lease that this process holds. */
export interface Lease {
  readonly key: string;
  readonly generation: number;
  /** The holder before, if that one did not give it back. */
  readonly predecessor: FoundLease | undefined;
  /** What is noted; former holders' notes stay until they are written over. */
  readonly notes: Readonly<Record<string, unknown>>;
  /** Aborted with a {@link LeaseLostError} when it is lost. */
  readonly lost: AbortSignal;
  /** Writes notes at once; those of other names stay. @throws LeaseLostError, StateBucketError */
  note(notes: Readonly<Record<string, unknown>>): Promise<void>;
  /** Gives it back, as well as it can be: what was lost, or cannot be written, runs out by itself. Never rejects. */
  release(): Promise<void>;
}

const defaultLeaseMs = 60_000;
const renewalsPerLease = 4;
/**
 * After this part of the lease without a renewal its holder gives it up by itself, whatever is under way: a request to a
 * bucket that does not answer may end long after a successor has begun.
 */
const holdsFor = 0.75;
/** How often the holder looks at its clocks. */
const looksPerLease = 20;
/** S3 tells times to a second. */
const clockGrainMs = 1_000;
/** For so much longer than the lease, as a part of it, a successor waits: what a former holder began may still end. */
const graceOf = 0.1;

/** Looks at a lease. @returns undefined when there never was one. @throws StateBucketError */
export async function readLease(bucket: StateBucket, key: string): Promise<FoundLease | undefined> {
  return (await find(bucket, key))?.lease;
}

/**
 * Takes a lease: at once when nobody holds it or its holder is dead. A holder who might be either is watched: it is refused
 * as soon as it renews, and taken over when its time has run out.
 * @throws LeaseHeldError, StateBucketError; the signal's reason
 */
export async function takeLease(args: LeaseArguments): Promise<Lease> {
  const { bucket, key, holder, leaseMs = defaultLeaseMs, floor, signal, onWait } = args;
  let watched: string | undefined;
  for (;;) {
    signal?.throwIfAborted();
    const found = await find(bucket, key);
    const { lease } = found ?? {};
    if (lease?.holder != null && lease.isAlive) {
      onWait?.(lease.holder);
      const isRenewed = watched !== undefined && watched !== found?.etag;
      if (isRenewed) throw new LeaseHeldError(`${bucket.name}/${key}`, { ...lease, holder: lease.holder });
      watched = found?.etag;
      await delay(Math.min(1_000, lease.leaseMs / 10), undefined, signal === undefined ? {} : { signal });
      continue;
    }
    const former = found === undefined ? await floor?.() : lease?.generation;
    const document: LeaseDocument = {
      format,
      generation: (former ?? 0) + 1,
      holder,
      checked: found?.checked ?? false,
      leaseMs,
      renewed: new Date().toISOString(),
      // Also those of a holder before the last one, who may have had no time to act on them.
      notes: lease?.notes ?? {},
      serial: randomUUID(),
    };
    const began = moment();
    const etag = await bucket.put(
      key,
      textOf(document),
      found === undefined ? "if-absent" : { ifMatch: found.etag },
    );
    if (etag === undefined) continue;
    if (!document.checked) await demandConditions(bucket, key, document);
    return new HeldLease(
      args,
      { ...document, checked: true },
      { etag, renewedAt: began },
      lease?.holder == null ? undefined : lease,
    );
  }
}

async function find(
  bucket: StateBucket,
  key: string,
): Promise<{ lease: FoundLease; etag: string; checked: boolean } | undefined> {
  const object = await bucket.get(key);
  if (object === undefined) return undefined;
  let document: LeaseDocument;
  try {
    document = documentSchema.parse(JSON.parse(object.text));
  } catch (error) {
    throw new StateBucketError(
      `${bucket.name}/${key} is no lease of this program. Look at it, and remove it when it is nobody's.`,
      { cause: error },
    );
  }
  const { generation, holder, checked, leaseMs, renewed, notes } = document;
  const { etag, ageMs } = object;
  const isAlive = holder !== null && ageMs <= leaseMs + Math.max(clockGrainMs, leaseMs * graceOf);
  return { lease: { generation, holder, isAlive, ageMs, leaseMs, renewed, notes }, etag, checked };
}

/** A server that ignores conditions would let two runs in at once. Asked once in a lease's life, by its first holder. */
async function demandConditions(bucket: StateBucket, key: string, document: LeaseDocument): Promise<void> {
  for (const condition of ["if-absent", { ifMatch: '"00000000000000000000000000000000"' }] as const) {
    const text = textOf({ ...document, serial: randomUUID() });
    if ((await bucket.put(key, text, condition)) === undefined) continue;
    await bucket.remove(key);
    throw new StateBucketError(
      `${bucket.name}: this server ignores the conditions of a write (If-None-Match, If-Match), so it cannot hold a state that ` +
        "several machines share. Take Hetzner Object Storage, another Ceph, AWS, MinIO or SeaweedFS.",
    );
  }
}

function textOf(document: LeaseDocument): string {
  return `${JSON.stringify(document, null, 2)}\n`;
}

function seconds(ms: number): string {
  return `${Math.round(ms / 1_000)} s`;
}

class HeldLease implements Lease {
  readonly key: string;
  readonly generation: number;
  readonly predecessor: FoundLease | undefined;
  readonly #bucket: StateBucket;
  readonly #lost = new AbortController();
  readonly #timers: readonly NodeJS.Timeout[];
  #document: LeaseDocument;
  #etag: string;
  #renewedAt: Moment;
  /** Why the last renewal failed, if it did. */
  #trouble = "the bucket did not answer";
  /** Writes, one after the other. */
  #writes: Promise<void> = Promise.resolve();

  constructor(
    { bucket, key, leaseMs = defaultLeaseMs }: LeaseArguments,
    document: LeaseDocument,
    { etag, renewedAt }: { etag: string; renewedAt: Moment },
    predecessor: FoundLease | undefined,
  ) {
    this.key = key;
    this.generation = document.generation;
    this.predecessor = predecessor;
    this.#bucket = bucket;
    this.#document = document;
    this.#etag = etag;
    this.#renewedAt = renewedAt;
    this.#timers = [
      setInterval(() => void this.#renew(), leaseMs / renewalsPerLease).unref(),
      setInterval(() => this.#look(), leaseMs / looksPerLease).unref(),
    ];
  }

  get notes(): Readonly<Record<string, unknown>> {
    return this.#document.notes;
  }

  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  note(notes: Readonly<Record<string, unknown>>): Promise<void> {
    return this.#inTurn(() => this.#write({ notes: { ...this.#document.notes, ...notes } }));
  }

  async release(): Promise<void> {
    this.#stop();
    await this.#inTurn(() => this.#write({ holder: null })).catch(() => undefined);
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const done = this.#writes.then(work);
    this.#writes = done.catch(() => undefined);
    return done;
  }

  async #renew(): Promise<void> {
    const began = performance.now();
    await this.#inTurn(async () => {
      // Those that came while one was under way are done with it.
      if (this.#renewedAt.steady < began) await this.#write({});
    }).catch((error: unknown) => {
      this.#trouble = (error as Error).message;
    });
  }

  /** Whether the last renewal is too long ago, by the clock that says most: while a machine sleeps, one of them stands. */
  #look(): void {
    const { steady, wall } = moment();
    const ageMs = Math.max(steady - this.#renewedAt.steady, wall - this.#renewedAt.wall);
    if (ageMs <= this.#document.leaseMs * holdsFor) return;
    this.#lose(`it could not be renewed for ${seconds(ageMs)}: ${this.#trouble}`);
  }

  async #write(change: Partial<Pick<LeaseDocument, "holder" | "notes">>): Promise<void> {
    this.#lost.signal.throwIfAborted();
    const began = moment();
    const document = {
      ...this.#document,
      ...change,
      renewed: new Date().toISOString(),
      serial: randomUUID(),
    };
    const etag = await this.#bucket.put(this.key, textOf(document), { ifMatch: this.#etag });
    if (etag === undefined) {
      const now = await readLease(this.#bucket, this.key).catch(() => undefined);
      const by = now?.holder == null ? "somebody else" : describeRun(now.holder);
      this.#lose(`it was not renewed in time, and ${by} has taken it over`);
      this.#lost.signal.throwIfAborted();
      return;
    }
    this.#document = document;
    this.#etag = etag;
    // Its answer came too late.
    this.#lost.signal.throwIfAborted();
    this.#renewedAt = began;
    this.#trouble = "the bucket did not answer";
  }

  #stop(): void {
    for (const timer of this.#timers) clearInterval(timer);
  }

  #lose(why: string): void {
    this.#stop();
    this.#lost.abort(
      new LeaseLostError(`This run no longer holds ${this.#bucket.name}/${this.key}: ${why}.`),
    );
  }
}

/** By a clock that may stand while the machine sleeps, and by one that may be set; ms. */
interface Moment {
  steady: number;
  wall: number;
}

function moment(): Moment {
  return { steady: performance.now(), wall: Date.now() };
}
