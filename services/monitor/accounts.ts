/** What the executors' comparisons of their venues' accounts have come to, read from the topic on which they tell. */
import type { AccountComparison } from "../bus/control.ts";
import type { Kafka } from "../bus/kafka.ts";
import { readPartition } from "../bus/partition-log.ts";
import { topics } from "../bus/topics.ts";
import type { Event } from "../core/envelope.ts";
import { decodeEvent } from "../core/events.ts";
import type { ServiceContext } from "../core/service.ts";
import type { Reconciliation } from "../core/trading.ts";

const outcomes = {
  account_baseline: "recorded",
  account_matched: "matched",
  account_mismatch: "mismatch",
} as const;

/** The last comparison of each venue. @param events in the order in which they were said */
export function lastComparisons(
  events: Iterable<Pick<Event<Reconciliation>, "venue" | "payload">>,
): AccountComparison[] {
  const byVenue = new Map<string, AccountComparison>();
  for (const { venue, payload } of events) {
    if (payload.kind === "late_fill") continue;
    const differences = payload.kind === "account_mismatch" ? payload.differences : [];
    const { kind, at, account } = payload;
    byVenue.set(venue, { venue, outcome: outcomes[kind], at, differences, positions: account.positions });
  }
  return [...byVenue.values()].sort((one, other) => (one.venue < other.venue ? -1 : 1));
}

/**
 * Reads the topic to its end. An executor takes its first command, a canary's too, when it has compared: so once all
 * canaries are answered, every venue that can tell its account is here.
 * @throws the signal's reason; PartitionLogError; InvalidEventError
 */
export async function compareAccounts(
  kafka: Kafka,
  { signal, logger }: Pick<ServiceContext, "signal" | "logger">,
): Promise<AccountComparison[]> {
  const { name: topic, partitions } = topics.reconciliation;
  const events: Event<Reconciliation>[] = [];
  for (let partition = 0; partition < partitions; partition += 1) {
    await readPartition({
      kafka,
      topic,
      partition,
      onRecord: ({ value }) => {
        // The key is the venue's name: all of one venue are in one partition, in order.
        events.push(decodeEvent("exec.reconciliation", value));
      },
      signal,
      logger,
    });
  }
  return lastComparisons(events);
}
