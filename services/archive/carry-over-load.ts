/**
 * Takes over the orders that the cluster before this one left resting: before any service starts, their commands are
 * written into this cluster's journal, where the executors find them like a former owner's and settle them with the venue.
 */
import { Counter } from "prom-client";
import type { Kafka } from "../bus/kafka.ts";
import { readPartition } from "../bus/partition-log.ts";
import type { ReceivedRecord } from "../bus/record.ts";
import { topics } from "../bus/topics.ts";
import { openTransactionalProducer, type TransactionRecord } from "../bus/transaction.ts";
import { encodeEvent } from "../core/envelope.ts";
import { newEvent } from "../core/events.ts";
import { derivedEventId } from "../core/ids.ts";
import type { Logger } from "../core/log.ts";
import { toInstant } from "../core/time.ts";
import type { JournalEntry } from "../core/trading.ts";
import { type CarriedCommand, readCarryOver } from "./carry-over.ts";
import { ArchiveDocumentError, type ClusterArchive } from "./cluster-archive.ts";
import type { Opened } from "./documents.ts";
import { journalPartitions } from "./open-commands.ts";
import {
  type CarryOverLoaded,
  carryOverLoadedSchema,
  claimCarryOver,
  findPredecessor,
  loadedDocument,
} from "./predecessor.ts";

/** Below that of every executor of this cluster: an owner takes the highest epoch it finds, and one more. */
const carriedEpoch = 1;

/** A job ends before anybody could ask for its metrics. */
const uncounted = new Counter({
  name: "trading_events_out_total",
  help: "Records written.",
  labelNames: ["topic"],
  registers: [],
});

/** Arguments of {@link loadCarryOver}. */
export interface LoadCarryOverOptions {
  kafka: Kafka;
  /** This cluster's. */
  archive: ClusterArchive;
  opened: Opened;
  logger: Logger;
  signal: AbortSignal;
}

/**
 * Loads what the predecessor carries over and notes in this cluster's archive what was done; once that note is there,
 * nothing is done any more. What stays unknown is no error, but is said: the executors compare the account with the
 * venue before they trade.
 * @throws ArchiveStoreError; KafkaJSError; TransactionLostError when the job runs a second time beside this one.
 */
export async function loadCarryOver(options: LoadCarryOverOptions): Promise<CarryOverLoaded> {
  const { archive, opened, logger } = options;
  const before = await archive.read(loadedDocument, carryOverLoadedSchema);
  if (before !== undefined) {
    logger.info(
      { loadedAt: before.loadedAt, commands: before.commands.length },
      "carry-over was loaded before",
    );
    return before;
  }
  const { found, unknown } = await findPredecessor(archive, opened.openedAt);
  const commands = found === undefined ? [] : await commandsOf(found.archive, found.entry, archive, unknown);
  if (commands.length > 0) await writeJournal(options, commands);
  const identity = found?.archive.identity;
  const loaded: CarryOverLoaded = {
    ...archive.identity,
    loadedAt: toInstant(Date.now()),
    predecessor:
      identity === undefined ? null : { businessDate: identity.businessDate, clusterId: identity.clusterId },
    commands: commands.map(({ command_id }) => command_id),
    unknown,
  };
  for (const sentence of unknown) logger.error(`orders of earlier clusters: ${sentence}`);
  await archive.write(loadedDocument, loaded);
  logger.info({ predecessor: loaded.predecessor, commands: loaded.commands }, "carry-over loaded");
  return loaded;
}

/** The commands to be loaded; why there may be others is added to `unknown`. */
async function commandsOf(
  predecessor: ClusterArchive,
  { state, manifest }: { state: string; manifest: Parameters<typeof readCarryOver>[1] | undefined },
  own: ClusterArchive,
  unknown: string[],
): Promise<CarriedCommand[]> {
  const { prefix } = predecessor;
  if (state !== "sealed" || manifest === undefined) {
    unknown.push(
      `${prefix}, the cluster before this one, is ${state}: whether orders of it still rest at a venue is not known. ` +
        "Executors do not trade at a venue where an order rests that is not theirs; look at the venues' open orders.",
    );
    return [];
  }
  try {
    const carryOver = await readCarryOver(predecessor, manifest);
    if (carryOver === undefined) return [];
    const refusal = await claimCarryOver(predecessor, own.identity);
    if (refusal === undefined) return carryOver.commands;
    unknown.push(`${refusal}, so they are not loaded here: nobody of this cluster looks after them`);
  } catch (error) {
    if (!(error instanceof ArchiveDocumentError)) throw error;
    unknown.push(`what ${prefix} carries over cannot be loaded: ${error.message}`);
  }
  return [];
}

/** Adds to the journal what is not there yet. Of two jobs that do this, the later one fences the earlier one. */
async function writeJournal(
  { kafka, archive, logger, signal }: LoadCarryOverOptions,
  commands: readonly CarriedCommand[],
): Promise<void> {
  const topic = topics.journal.name;
  const partitions = await journalPartitions(kafka);
  const producer = await openTransactionalProducer({
    kafka,
    transactionalId: "carry-over",
    partitions: partitions.map((partition) => ({ topic, partition })),
    context: { logger, metrics: { eventsOut: uncounted } },
    signal,
  });
  try {
    const known = await commandsInJournal(kafka, partitions, signal, logger);
    const missing = commands.filter(({ command_id }) => !known.has(command_id));
    await Promise.all(
      missing.map((command) =>
        producer.send(journalRecords(command, archive.identity.clusterId, partitions.length)),
      ),
    );
  } finally {
    await producer.close();
  }
}

/** Ids of all commands with an entry, also of those that have ended. */
async function commandsInJournal(
  kafka: Kafka,
  partitions: readonly number[],
  signal: AbortSignal,
  logger: Logger,
): Promise<Set<string>> {
  const ids = new Set<string>();
  const onRecord = ({ key }: ReceivedRecord): void => void ids.add(key?.toString() ?? "");
  for (const partition of partitions) {
    await readPartition({ kafka, topic: topics.journal.name, partition, onRecord, signal, logger });
  }
  return ids;
}

/**
 * The entries that an executor of a former life would have left: the whole command with what the venue knows it by, and
 * that the venue took it. The same command gives the same bytes.
 */
export function journalRecords(
  { command_id, partition, left_at, intent }: CarriedCommand,
  clusterId: string,
  partitions: number,
): TransactionRecord[] {
  const { idempotency_key } = intent.payload;
  const entries: JournalEntry[] = [
    { ...intent.payload, epoch: carriedEpoch },
    { command_id, idempotency_key, state: "SUBMITTED", epoch: carriedEpoch, at: left_at },
  ];
  return entries.map((payload) => ({
    topic: topics.journal.name,
    key: command_id,
    // Commands of the same key come to the same partition as yesterday, so a twin is recognised there; with fewer
    // partitions than yesterday any will do, since the venue recognises it as well.
    partition: partition % partitions,
    value: encodeEvent(
      newEvent("exec.journal", {
        ...intent,
        event_id: derivedEventId("exec.journal", intent.event_id, "carried over", clusterId, payload.state),
        payload,
      }),
    ),
  }));
}
