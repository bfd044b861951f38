/**
 * One run at a time opens or closes a stack's cluster, on whatever machine and wherever the state is: a lease in the archive's
 * bucket, `<stack>/turn.json`, around all of it. The state's own lock holds for single commands of the engine, and between them
 * an `open` or a `close` powers off and deletes by label what another run may just be making.
 */
import { setTimeout as delay } from "node:timers/promises";
import { type Lease, LeaseHeldError, readLease, takeLease } from "../engine/lease.ts";
import { describeRun, type RunIdentity } from "../engine/run-identity.ts";
import { StackLockedError } from "../engine/stack-engine.ts";
import type { StoreSettings } from "../../services/archive/store.ts";
import { openStateBucket, type StateBucket, StateBucketError } from "../engine/state-bucket.ts";
import type { ClusterParts } from "./parts.ts";

/** What a turn is taken with. */
export interface TurnSettings {
  /** Opens the archive's bucket; it is closed again. */
  open: () => StateBucket;
  /** Who works on the stack, for others. */
  holder: RunIdentity;
  /** Not renewed for so long, a run counts as dead, in ms. Default: 180,000, so that a short outage of the bucket stops nobody. */
  leaseMs?: number;
  /** Longest wait for another run, in ms. Default: 1,800,000, longer than a whole `open`. */
  waitMs?: number;
}

const keyOf = (stack: string): string => `${stack}/turn.json`;
const defaultLeaseMs = 180_000;
const defaultWaitMs = 30 * 60_000;
const lookEveryMs = 5_000;

/**
 * Does `work` while no other run does such work on the stack; waits for one that does, and for the end of the lease of one
 * that was killed. A bucket that cannot hold a lease is told and holds nothing up: whether it can be used at all is for the
 * work to find.
 * @param work is given parts whose signal also ends when the turn is lost
 * @throws StackLockedError when another run takes longer than is waited for, or has taken over; the signal's reason; what
 *   `work` throws
 */
export async function inTurn<T>(parts: ClusterParts, work: (parts: ClusterParts) => Promise<T>): Promise<T> {
  const bucket = parts.turn.open();
  try {
    const lease = await take(parts, bucket);
    if (lease === undefined) return await work(parts);
    const former = lease.predecessor?.holder;
    if (former != null) parts.reporter.note(`${describeRun(former)} did not come to its end: going on`);
    try {
      const signal = AbortSignal.any([parts.signal, lease.lost]);
      return await work({ ...parts, signal, client: parts.client.endingWith(signal) });
    } catch (error) {
      if (!lease.lost.aborted || parts.signal.aborted) throw error;
      const { message } = lease.lost.reason as Error;
      throw new StackLockedError(`${message} What was begun is left to the other run.`, [], { cause: error });
    } finally {
      await lease.release();
    }
  } finally {
    bucket.close();
  }
}

/** The archive's bucket, as turns need it. Close it when done. */
export function openTurnBucket({
  endpoint,
  region,
  bucket,
  accessKeyId,
  secretAccessKey,
}: StoreSettings): StateBucket {
  return openStateBucket({ endpoint, region, bucket, credentials: { accessKeyId, secretAccessKey } });
}

/** Who has the turn, for people. @returns undefined when nobody has. @throws StateBucketError */
export async function turnHolder(bucket: StateBucket, stack: string): Promise<string | undefined> {
  const { holder, isAlive } = (await readLease(bucket, keyOf(stack))) ?? {};
  if (holder == null) return undefined;
  return isAlive === true ? describeRun(holder) : `${describeRun(holder)}, which did not come to its end`;
}

/** @returns undefined when the bucket cannot hold a lease */
async function take(
  { stack, reporter, signal, turn }: ClusterParts,
  bucket: StateBucket,
): Promise<Lease | undefined> {
  const { holder, leaseMs = defaultLeaseMs, waitMs = defaultWaitMs } = turn;
  const until = performance.now() + waitMs;
  let told = "";
  const onWait = (other: RunIdentity): void => {
    const who = describeRun(other);
    if (who !== told) reporter.note(`waiting for another run on stack ${stack}: ${who}`);
    told = who;
  };
  for (;;) {
    signal.throwIfAborted();
    try {
      return await takeLease({ bucket, key: keyOf(stack), holder, leaseMs, signal, onWait });
    } catch (error) {
      // Who was seen at work is so although the bucket does not answer just now.
      const isSomebodyThere = error instanceof LeaseHeldError || told !== "";
      if (error instanceof StateBucketError && !isSomebodyThere) {
        reporter.note(
          `warning: other runs on stack ${stack} are not kept apart from this one: ${error.message}`,
        );
        return undefined;
      }
      if (!(error instanceof LeaseHeldError || error instanceof StateBucketError)) throw error;
      if (performance.now() > until) {
        throw new StackLockedError(`Another run works on the stack ${stack}. ${error.message}`, [], {
          cause: error,
        });
      }
      await delay(Math.min(lookEveryMs, leaseMs), undefined, { signal });
    }
  }
}
