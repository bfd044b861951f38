/**
 * The lease of a stack whose Pulumi backend is a bucket. Pulumi's own locks there name a host and a process, which says
 * nothing to another machine, and nobody renews them. So a run of ours holds a lease while it lets Pulumi work, and notes in
 * it which of Pulumi's locks are its own: when the lease has run out, these are a dead run's, and no others.
 */
import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";
import { type Lease, LeaseHeldError, takeLease } from "./lease.ts";
import { childPulumis, isChild } from "./pulumi-processes.ts";
import { type BucketBackend, leaseKey, locksPrefix } from "./pulumi-backend.ts";
import type { PulumiLock } from "./pulumi-locks.ts";
import { describeRun, type RunIdentity } from "./run-identity.ts";
import { StackLockedError } from "./stack-engine.ts";
import { type StateBucket, StateBucketError } from "./state-bucket.ts";

/** Far longer than a Pulumi CLI outlives its killed parent: it ends at the next dot of progress that nobody reads, in 2 s. */
const defaultLeaseMs = 180_000;
/** How often a command's lock is looked for; it appears within seconds. */
const lookEveryMs = 500;
/** While a lock is there: another command's can only come after it. */
const lookAgainEveryMs = 2_000;
/** Clocks are told to a second. */
const grainMs = 1_000;

/** Commands of Pulumi's that were begun, of whose locks one may not have been seen. */
const unseenSchema = z.object({
  host: z.string(),
  /** By that host's clock, as Pulumi's own times are; ms since 1970. */
  from: z.number(),
  /** Set by the successor: when its holder was last heard of. */
  to: z.number().optional(),
});
const notesSchema = z.object({
  /** Keys of Pulumi's locks that holders of this lease have taken. */
  locks: z.array(z.string()).default([]),
  unseen: z.array(unseenSchema).default([]),
});
type Notes = z.infer<typeof notesSchema>;

/** As Pulumi writes them (pkg/backend/diy/lock.go). */
const lockSchema = z.object({ pid: z.number().int(), hostname: z.string() });

/** Arguments of {@link PulumiLeases}. */
export interface PulumiLeasesArguments {
  /** The backend's bucket; closed with the leases. */
  bucket: StateBucket;
  backend: Pick<BucketBackend, "prefix">;
  project: string;
  stack: string;
  holder: RunIdentity;
  /** Default: 180,000. */
  leaseMs?: number | undefined;
}

/** Leases of one stack. Close it when done. */
export class PulumiLeases {
  readonly #bucket: StateBucket;
  readonly #key: string;
  readonly #locksPrefix: string;
  readonly #args: PulumiLeasesArguments;

  constructor(args: PulumiLeasesArguments) {
    const { bucket, backend, project, stack } = args;
    this.#args = args;
    this.#bucket = bucket;
    this.#key = leaseKey(backend, project, stack);
    this.#locksPrefix = locksPrefix(backend, project, stack);
  }

  /**
   * Takes the lease, watching a holder of whom it is not known whether it lives.
   * @param signal ends that wait
   * @throws StackLockedError that says who holds it and since when; StateBucketError; the signal's reason
   */
  async take(signal?: AbortSignal): Promise<PulumiLease> {
    const { holder, leaseMs = defaultLeaseMs, stack } = this.#args;
    try {
      const lease = await takeLease({
        bucket: this.#bucket,
        key: this.#key,
        holder,
        leaseMs,
        ...(signal === undefined ? {} : { signal }),
      });
      const parsed = notesSchema.safeParse(lease.notes);
      if (!parsed.success) {
        await lease.release();
        throw new StateBucketError(
          `${this.#bucket.name}/${this.#key}: its notes are damaged. Look at it, and remove it when no run works on the stack.`,
        );
      }
      const found = parsed.data;
      const heard = Date.parse(lease.predecessor?.renewed ?? "") || Date.now();
      // A holder may have begun a command until the renewal that it did not live to see.
      const to = heard + (lease.predecessor?.leaseMs ?? leaseMs);
      const notes = { ...found, unseen: found.unseen.map((entry) => ({ to, ...entry })) };
      return new PulumiLease(this.#bucket, this.#locksPrefix, lease, notes, holder.host);
    } catch (error) {
      if (!(error instanceof LeaseHeldError)) throw error;
      throw new StackLockedError(`Another run works on the stack ${stack}. ${error.message}`, [], {
        cause: error,
      });
    }
  }

  close(): void {
    this.#bucket.close();
  }
}

/** A lease that this run holds. */
export class PulumiLease {
  /** Of the run whose lease had run out, for people; undefined when it was free. */
  readonly takenFrom: string | undefined;
  readonly lost: AbortSignal;
  readonly #bucket: StateBucket;
  readonly #locksPrefix: string;
  readonly #lease: Lease;
  readonly #host: string;
  /** Of former holders. */
  #former: Notes;

  constructor(bucket: StateBucket, locksPrefix: string, lease: Lease, former: Notes, host: string) {
    const holder = lease.predecessor?.holder;
    this.takenFrom = holder == null ? undefined : describeRun(holder);
    this.lost = lease.lost;
    this.#bucket = bucket;
    this.#locksPrefix = locksPrefix;
    this.#lease = lease;
    this.#former = former;
    this.#host = host;
  }

  /** Whether a lock is one that a former holder of this lease has left. */
  isLeft({ url, host, since }: PulumiLock): boolean {
    if (this.#former.locks.some((key) => nameOf(key) === nameOf(url))) return true;
    return this.#former.unseen.some(
      ({ host: its, from, to = from }) =>
        its === host && since.getTime() >= from - grainMs && since.getTime() <= to,
    );
  }

  /** Removes a lock by its own name, which is never used again. @throws StateBucketError */
  async remove({ url }: PulumiLock): Promise<void> {
    await this.#bucket.remove(this.#locksPrefix + nameOf(url));
  }

  /** Proves that this run holds the lease now. @throws LeaseLostError, StateBucketError */
  confirm(): Promise<void> {
    return this.#lease.note({});
  }

  /**
   * Lets commands of Pulumi's run, one after the other, and notes their locks as this lease's. When the lease is lost, what
   * runs is killed: what it still wrote would be written over the new holder's state.
   * @throws LeaseLostError also when the work came to its end meanwhile; what `work` throws
   */
  async during<T>(work: () => Promise<T>): Promise<T> {
    this.lost.throwIfAborted();
    const begun = { host: this.#host, from: Date.now() };
    const ended = new AbortController();
    await this.#note({ locks: [], unseen: [begun] });
    this.lost.addEventListener("abort", killPulumis, { once: true });
    const looked = this.#noteLocks(begun, ended.signal);
    try {
      const result = await work();
      this.lost.throwIfAborted();
      return result;
    } catch (error) {
      throw this.lost.aborted ? this.lost.reason : error;
    } finally {
      this.lost.removeEventListener("abort", killPulumis);
      ended.abort();
      // A Pulumi that was killed leaves its lock, and then it is known whose it was.
      const left: string[] = [];
      for (const key of await looked) if (await this.#exists(key)) left.push(key);
      this.#former = { ...this.#former, locks: [...this.#former.locks, ...left] };
      await this.#note({ locks: [], unseen: [] }).catch(() => undefined);
    }
  }

  /** Forgets what former holders have left: it is gone. */
  async forgetLeft(): Promise<void> {
    this.#former = { locks: [], unseen: [] };
    await this.#note(this.#former);
  }

  release(): Promise<void> {
    return this.#lease.release();
  }

  #note(own: Notes): Promise<void> {
    return this.#lease.note({
      locks: [...this.#former.locks, ...own.locks],
      unseen: [...this.#former.unseen, ...own.unseen],
    });
  }

  /** What cannot be told counts as being there. */
  async #exists(key: string): Promise<boolean> {
    return this.#bucket.get(key).then(
      (found) => found !== undefined,
      () => true,
    );
  }

  /**
   * Looks for locks until the work has ended. That it was begun stays noted as long: of a run that is killed, the last
   * lock may be one that was not seen. What goes wrong shows at the next renewal.
   * @returns their keys
   */
  async #noteLocks(begun: z.infer<typeof unseenSchema>, ended: AbortSignal): Promise<string[]> {
    const seen = new Set<string>();
    const own: string[] = [];
    while (!ended.aborted) {
      let isLocked = false;
      try {
        const there = await this.#bucket.list(this.#locksPrefix);
        const before = own.length;
        for (const key of there) {
          if (seen.has(key)) continue;
          const object = await this.#bucket.get(key);
          seen.add(key);
          const lock = lockSchema.safeParse(object === undefined ? undefined : JSON.parse(object.text));
          if (lock.data?.hostname === this.#host && isChild(lock.data.pid)) own.push(key);
        }
        if (own.length > before) await this.#note({ locks: own, unseen: [begun] });
        isLocked = there.some((key) => own.includes(key));
      } catch {
        // The command goes on; the lease's own renewal decides whether it may.
      }
      const waitMs = isLocked ? lookAgainEveryMs : lookEveryMs;
      await delay(waitMs, undefined, { signal: ended }).catch(() => undefined);
    }
    return own;
  }
}

/** Ends at once what this process lets Pulumi do. */
function killPulumis(): void {
  for (const pid of childPulumis()) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It ended by itself; the others are to go all the same.
    }
  }
}

/** Name of a lock, from its key or its address: the CLI adds its backend's options to the latter. */
function nameOf(lock: string): string {
  const [plain = lock] = lock.split("?", 1);
  return plain.split("/").at(-1) ?? plain;
}
