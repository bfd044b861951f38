/**
 * Commands without a terminal state, as the executors' journal tells. The archiver follows the journal all day, so that
 * the seal has only its end to read.
 */
import { setTimeout as delay } from "node:timers/promises";
import { withAdmin } from "../bus/cluster-admin.ts";
import type { Kafka } from "../bus/kafka.ts";
import { readPartition } from "../bus/partition-log.ts";
import type { ReceivedRecord } from "../bus/record.ts";
import { topics } from "../bus/topics.ts";
import type { Event } from "../core/envelope.ts";
import { decodeEvent, InvalidEventError } from "../core/events.ts";
import type { Logger } from "../core/log.ts";
import { toInstant } from "../core/time.ts";
import { type FilledAmounts, type JournalEntry, terminalStatus } from "../core/trading.ts";

/** A command that has not ended, by its last entry in the journal. */
export interface OpenCommand {
  commandId: string;
  venue: string;
  /** Partition of its journal, and of the command itself. */
  partition: number;
  state: Exclude<JournalEntry["state"], (typeof terminalStatus.options)[number]>;
  /** When it got there, RFC 3339. */
  since: string;
  /** The entry that holds the command and what the venue knows its order by; undefined in a journal that lacks it. */
  intent: Event<JournalEntry> | undefined;
  /** With CARRIED_OVER: what was filled of it then. */
  filled: FilledAmounts | undefined;
}

/** A record of the journal that is no entry: what it tells of which command is not known. */
export interface UnreadableEntry {
  /** Topic, partition and offset. */
  where: string;
  /** The record's time, RFC 3339. */
  at: string;
  mistake: string;
}

/** Pause between two looks while nobody seals, in milliseconds. */
const followEveryMs = 10_000;

/** Folds the journal's records, in order within each partition. */
export class JournalFold {
  readonly #open = new Map<string, OpenCommand>();
  readonly #unreadable: UnreadableEntry[] = [];

  /** In order of command ids. */
  get open(): OpenCommand[] {
    return [...this.#open.values()].sort((a, b) => (a.commandId < b.commandId ? -1 : 1));
  }

  get unreadable(): readonly UnreadableEntry[] {
    return this.#unreadable;
  }

  take(record: ReceivedRecord): void {
    const { topic, partition, offset, timestamp, value } = record;
    let event: Event<JournalEntry>;
    try {
      event = decodeEvent("exec.journal", value);
    } catch (error) {
      if (!(error instanceof InvalidEventError)) throw error;
      const where = `${topic}, partition ${partition}, offset ${offset}`;
      this.#unreadable.push({ where, at: toInstant(timestamp), mistake: error.message });
      return;
    }
    const { command_id: commandId, state, at: since, filled } = event.payload;
    if (isTerminal(state)) {
      this.#open.delete(commandId);
      return;
    }
    const known = this.#open.get(commandId)?.intent;
    const intent = state === "INTENT" ? event : known;
    this.#open.set(commandId, { commandId, venue: event.venue, partition, state, since, intent, filled });
  }
}

function isTerminal(state: JournalEntry["state"]): state is (typeof terminalStatus.options)[number] {
  return (terminalStatus.options as readonly string[]).includes(state);
}

/** Follows the journal of a running cluster. */
export class OpenCommands {
  readonly #kafka: Kafka;
  readonly #logger: Logger;
  readonly #fold = new JournalFold();
  /** Offset of the next record, by partition. */
  readonly #next = new Map<number, bigint>();
  #reading: Promise<void> = Promise.resolve();

  constructor(kafka: Kafka, logger: Logger) {
    this.#kafka = kafka;
    this.#logger = logger;
  }

  /**
   * Reads on, again and again, until the signal; never rejects. What it cannot read now it reads later; the seal's own
   * look tells of trouble.
   */
  async follow(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#read(signal).catch((error: unknown) => {
        if (!signal.aborted) this.#logger.warn({ err: error }, "could not follow the journal, trying again");
      });
      await delay(followEveryMs, undefined, { signal, ref: false }).catch(() => undefined);
    }
  }

  /**
   * The commands that have not ended by what the journal holds now. A cluster without a journal has none.
   * @throws KafkaJSError when no broker answers; PartitionLogError when records were deleted unread; the signal's reason.
   */
  async look(signal: AbortSignal): Promise<JournalFold> {
    await this.#read(signal);
    return this.#fold;
  }

  /** Reads to the journal's present end; one reading at a time. */
  #read(signal: AbortSignal): Promise<void> {
    const reading = this.#reading.then(() => this.#readOn(signal));
    this.#reading = reading.catch(() => undefined);
    return reading;
  }

  async #readOn(signal: AbortSignal): Promise<void> {
    const topic = topics.journal.name;
    for (const partition of await journalPartitions(this.#kafka)) {
      await readPartition({
        kafka: this.#kafka,
        topic,
        partition,
        from: this.#next.get(partition) ?? "start",
        onRecord: (record) => {
          this.#fold.take(record);
          this.#next.set(partition, BigInt(record.offset) + 1n);
        },
        signal,
        logger: this.#logger,
      }).then((next) => this.#next.set(partition, next));
    }
  }
}

/** The numbers of the journal's partitions; none when there is no journal. @throws KafkaJSError */
export function journalPartitions(kafka: Kafka): Promise<number[]> {
  const topic = topics.journal.name;
  return withAdmin(kafka, async (admin) => {
    // Asked first, because a question about a topic that does not exist would create it.
    if (!(await admin.listTopics()).includes(topic)) return [];
    const { topics: found } = await admin.fetchTopicMetadata({ topics: [topic] });
    return found
      .flatMap(({ partitions }) => partitions.map(({ partitionId }) => partitionId))
      .sort((a, b) => a - b);
  });
}
