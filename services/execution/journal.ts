/**
 * The journal of the executor: every step of every command, on a topic that all replicas hold. It is the truth
 * about what may have been sent; an executor that starts reads it to its end before it takes work.
 */
import type { BatchingProducer } from "../bus/producer.ts";
import type { OutgoingRecord, ReceivedRecord } from "../bus/record.ts";
import { topics } from "../bus/topics.ts";
import { derivedFrom, encodeEvent, type Event } from "../core/envelope.ts";
import { decodeEvent, newEvent } from "../core/events.ts";
import {
  type ExecuteTrade,
  type JournalEntry,
  type TradeResult,
  type VenueReference,
} from "../core/trading.ts";
import { derivedEventId } from "../core/ids.ts";
import { isTerminal, move, type CommandState } from "./state.ts";

/** A command as the journal knows it. What is terminal keeps only what is needed to recognise it. */
export interface KnownCommand {
  readonly id: string;
  readonly idempotencyKey: string;
  /** Partition of the command, and of its journal entries. */
  readonly partition: number;
  state: CommandState;
  /** The command's event; until the state is terminal. */
  command: Event<ExecuteTrade> | undefined;
  reference: VenueReference;
}

/** An entry as a record, in the partition of its command. */
export function journalRecord(
  command: Event<ExecuteTrade>,
  partition: number,
  entry: JournalEntry,
): OutgoingRecord {
  const event = newEvent("exec.journal", {
    // Each state is entered at most once by one epoch.
    event_id: derivedEventId("exec.journal", command.event_id, entry.state, String(entry.epoch)),
    venue: command.venue,
    payload: entry,
    ...derivedFrom(command),
  });
  return { topic: topics.journal.name, key: entry.command_id, partition, value: encodeEvent(event) };
}

/** A result as an event: one id per command, so a second one is recognised by it. */
export function resultEvent(command: Event<ExecuteTrade>, result: TradeResult): Event<TradeResult> {
  return newEvent("exec.trade_result", {
    event_id: derivedEventId("exec.trade_result", command.event_id),
    venue: command.venue,
    payload: result,
    ...derivedFrom(command),
  });
}

/** A result as a record. */
export function resultRecord(command: Event<ExecuteTrade>, result: TradeResult): OutgoingRecord {
  return {
    topic: topics.tradeResult.name,
    key: result.command_id,
    value: encodeEvent(resultEvent(command, result)),
  };
}

/** What an executor found when it started. */
export interface Recovered {
  /** All commands of this venue, by command id. */
  commands: Map<string, KnownCommand>;
  /** The epoch of this executor: one more than any before it. */
  epoch: number;
  /** Results that the journal holds and the result topic does not. */
  missingResults: { command: Event<ExecuteTrade>; result: TradeResult }[];
  /** Terminal states that the result topic tells of and the journal does not. */
  missingEntries: { known: KnownCommand; result: TradeResult }[];
}

/** The journal and the results, read record by record. */
export class Recovery {
  readonly #venue: string;
  readonly #commands = new Map<string, KnownCommand>();
  readonly #terminal = new Map<string, TradeResult>();
  readonly #results = new Map<string, TradeResult>();
  #epoch = 0;

  /** @param venue whose commands are read; others are another executor's. */
  constructor(venue: string) {
    this.#venue = venue;
  }

  /**
   * Takes a record of the journal or the result topic in.
   * @throws Error when it cannot be read or contradicts what came before: then what was sent is not known,
   *   and starting would risk sending twice.
   */
  take(record: ReceivedRecord): void {
    try {
      if (record.topic === topics.tradeResult.name) {
        const { venue, payload } = decodeEvent("exec.trade_result", record.value);
        if (venue === this.#venue) this.#results.set(payload.command_id, payload);
      } else this.#takeEntry(record);
    } catch (error) {
      throw new Error(
        `${record.topic}, partition ${record.partition}, offset ${record.offset}: ${(error as Error).message}. ` +
          "The executor does not start, because it cannot know what was sent. Correct or move the record by hand.",
        { cause: error },
      );
    }
  }

  #takeEntry(record: ReceivedRecord): void {
    const event = decodeEvent("exec.journal", record.value);
    if (event.venue !== this.#venue) return;
    const entry = event.payload;
    this.#epoch = Math.max(this.#epoch, entry.epoch);
    const known = this.#commands.get(entry.command_id) ?? {
      id: entry.command_id,
      idempotencyKey: entry.idempotency_key,
      partition: record.partition,
      state: "RECEIVED" as CommandState,
      command: undefined,
      reference: {},
    };
    // The same step again, by a successor that could not know of it, changes nothing.
    if (known.state !== entry.state) known.state = move(entry.command_id, known.state, entry.state);
    if (entry.command !== undefined) known.command = commandEvent(event, entry.command);
    if (entry.reference !== undefined) known.reference = entry.reference;
    if (entry.result !== undefined) this.#terminal.set(entry.command_id, entry.result);
    this.#commands.set(entry.command_id, known);
  }

  /** Everything has been read. */
  finish(): Recovered {
    const recovered: Recovered = {
      commands: this.#commands,
      epoch: this.#epoch + 1,
      missingResults: [],
      missingEntries: [],
    };
    for (const known of this.#commands.values()) {
      const published = this.#results.get(known.id);
      const journaled = this.#terminal.get(known.id);
      if (isTerminal(known.state)) {
        if (published === undefined && journaled !== undefined && known.command !== undefined) {
          recovered.missingResults.push({ command: known.command, result: journaled });
        }
        known.command = undefined;
      } else if (published !== undefined) recovered.missingEntries.push({ known, result: published });
    }
    // Refused without an intent, and only the result got through: it has ended all the same.
    for (const result of this.#results.values()) {
      if (this.#commands.has(result.command_id)) continue;
      this.#commands.set(result.command_id, {
        id: result.command_id,
        idempotencyKey: result.idempotency_key,
        partition: 0,
        state: result.status,
        command: undefined,
        reference: {},
      });
    }
    return recovered;
  }
}

/** The command's own event, as far as results need it, from an entry about it. */
function commandEvent(entry: Event<JournalEntry>, command: ExecuteTrade): Event<ExecuteTrade> {
  return newEvent("cmd.execute_trade", {
    event_id: entry.causation_id ?? command.command_id,
    venue: entry.venue,
    observed_at: entry.observed_at,
    ingested_at: entry.ingested_at,
    payload: command,
    correlation_id: entry.correlation_id,
  });
}

/** Writes entries of one executor. */
export class Journal {
  readonly #producer: Pick<BatchingProducer, "send">;
  readonly epoch: number;

  constructor(producer: Pick<BatchingProducer, "send">, epoch: number) {
    this.#producer = producer;
    this.epoch = epoch;
  }

  /** Appends an entry; resolves when all in-sync replicas have it. */
  append(
    command: Event<ExecuteTrade>,
    partition: number,
    entry: Omit<JournalEntry, "command_id" | "idempotency_key" | "epoch">,
  ): Promise<void> {
    const { command_id, idempotency_key } = command.payload;
    return this.#producer.send(
      journalRecord(command, partition, { command_id, idempotency_key, epoch: this.epoch, ...entry }),
    );
  }
}
