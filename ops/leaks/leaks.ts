/** What outlived its `expires-at`, and how it is removed: by label alone, under the rule for clusters that held data. */
import { overrideWord } from "../../services/archive/gate-override.ts";
import { ArchiveStoreError, type ArchiveStore } from "../../services/archive/store.ts";
import { type Cleared, clearLeftover, type ClearingParts, describeStaying } from "../cluster/clear.ts";
import { archiveOf, type Held, whatItHeld } from "../cluster/held.ts";
import { RemovalError } from "../cluster/removal.ts";
import { recordCost } from "../cost/record.ts";
import { HetznerActionError, HetznerApiError } from "../hetzner/errors.ts";
import { RefusedError } from "../run.ts";
import { closingTimeOf, type ClusterThere, findClustersThere } from "./cluster-there.ts";

/** A cluster, or what is left of one, that should be gone. */
export interface Leak extends ClusterThere {
  /** `unknown` also where no bucket can be asked. */
  held: Held;
}

/** Arguments of {@link findLeaks}. */
export interface LeakSearch {
  client: ClearingParts["client"];
  /** Undefined: all stacks of the project. */
  stack: string | undefined;
  now: Date;
  /** The bucket of a stack; undefined where it is not known which. */
  archiveStoreOf: (stack: string) => ArchiveStore | undefined;
  /** Told why it is not known what a cluster held. */
  report: (line: string) => void;
}

/**
 * Finds what has outlived its `expires-at`, and what never got one.
 * @throws HetznerApiError
 */
export async function findLeaks({ client, stack, now, archiveStoreOf, report }: LeakSearch): Promise<Leak[]> {
  const there = await findClustersThere(client, stack, now);
  const over = there.filter(({ expiresAt }) => expiresAt === undefined || expiresAt <= now);
  return Promise.all(
    over.map(async (leak) => {
      try {
        return { ...leak, held: await heldBy(leak, archiveStoreOf) };
      } catch (error) {
        if (!(error instanceof ArchiveStoreError || error instanceof RefusedError)) throw error;
        report(`${leak.name}: it is not known whether it is sealed: ${error.message}`);
        return { ...leak, held: "unknown" };
      }
    }),
  );
}

async function heldBy(
  { stack, cluster }: ClusterThere,
  archiveStoreOf: LeakSearch["archiveStoreOf"],
): Promise<Held> {
  if (stack === undefined || cluster === undefined) return "unknown";
  const store = archiveStoreOf(stack);
  return store === undefined ? "unknown" : whatItHeld(archiveOf(store, stack, cluster));
}

/** What a removal came to. */
export interface LeaksRemoved {
  cleared: Cleared[];
  /** Why some must stay, with their price and what to do. */
  refused: string[];
  /** What did not work. */
  failed: string[];
}

/**
 * Removes leaks. None holds up another.
 * @param partsOf what a stack's removal needs; throws a UsageError where its bucket is not known
 * @throws the signal's reason; what is no refusal and no failure of Hetzner or the bucket
 */
export async function removeLeaks(
  leaks: readonly Leak[],
  now: Date,
  partsOf: (stack: string) => ClearingParts,
): Promise<LeaksRemoved> {
  const began = performance.now();
  const result: LeaksRemoved = { cleared: [], refused: [], failed: [] };
  for (const leak of leaks) {
    if (leak.stack === undefined) {
      result.refused.push(
        `Something carries the label project=trading and no stack, so this program did not make it as it is: ${leak.resources
          .map(({ name }) => name)
          .join(", ")}. Look at it in the Hetzner console.`,
      );
      continue;
    }
    const parts = partsOf(leak.stack);
    try {
      await demandRemovable(parts, leak, now);
      const costParts = { ...parts, now: () => new Date(now.getTime() + performance.now() - began) };
      await recordCost(costParts);
      const identity = leak.cluster === undefined ? [] : [{ stack: leak.stack, ...leak.cluster }];
      const cleared = await clearLeftover(parts, { ...leak, isOfState: false }).finally(() =>
        recordCost(costParts, identity),
      );
      result.cleared.push(cleared);
    } catch (error) {
      parts.signal.throwIfAborted();
      if (error instanceof RefusedError) result.refused.push(error.message);
      else if (isFailure(error)) result.failed.push(`${leak.name}: ${error.message}`);
      else throw error;
    }
  }
  return result;
}

function isFailure(error: unknown): error is Error {
  return [RemovalError, HetznerApiError, HetznerActionError, ArchiveStoreError].some(
    (type) => error instanceof type,
  );
}

/**
 * What is not sealed is refused at once: to seal is the work of `trading close`, which waits for the archiver.
 * @throws RefusedError
 */
async function demandRemovable(parts: ClearingParts, leak: Leak, now: Date): Promise<void> {
  const { name, stack = "", cluster, expiresAt, held, resources } = leak;
  if (expiresAt === undefined && closingTimeOf(leak) > now) {
    throw new RefusedError(
      `${name} has no expires-at and is less than a day old, so it may be wanted: it stays. ` +
        `\`npm run --silent trading -- close --stack ${stack}\` removes it.`,
    );
  }
  if (cluster === undefined || held !== "opened" || !resources.some(({ holdsData }) => holdsData)) return;
  const word = overrideWord(archiveOf(parts.archiveStore, stack, cluster));
  if (parts.gate.allowDataLoss === word) return;
  throw new RefusedError(
    `${name} was opened and is not sealed, so it may hold data that is nowhere else: it stays. ` +
      `\`npm run --silent trading -- close --stack ${stack}\` seals and removes it; to lose what is not archived, set ` +
      `TRADING_ALLOW_DATA_LOSS=${word}.\n${await describeStaying(parts, resources)}`,
  );
}
