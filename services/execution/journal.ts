/**
 * The journal of the executor: every step of every command, on a topic that all replicas hold. It is the truth
 * about what may have been sent; whoever takes a partition reads it to its end before taking work. A command's entries
 * and its result stand in the partitions of the same number as the command.
 */
import type { ReceivedRecord } from "../bus/record.ts";
import { topics } from "../bus/topics.ts";
import type { TransactionRecord } from "../bus/transaction.ts";
import { derivedFrom, encodeEvent, type Event } from "../core/envelope.ts";
import { decodeEvent, newEvent } from "../core/events.ts";
import { derivedEventId } from "../core/ids.ts";
import type { ExecuteTrade, JournalEntry, TradeResult, VenueReference } from "../core/trading.ts";
import { isTerminal, move, type CommandState } from "./state.ts";

/** A command that has not ended. */
export interface OpenCommand {
  readonly event: Event<ExecuteTrade>;
  state: CommandState;
  /** What the venue knows the order by. */
  reference: VenueReference;
  /** Since when this process has known it as UNKNOWN, milliseconds by the monotonic clock. */
  unknownSince?: number;
}

/** How a command ended, as far as it matters afterwards. */
export interface EndedCommand {
  readonly id: string;
  readonly idempotencyKey: string;
  readonly command: ExecuteTrade;
  readonly result: TradeResult;
}

/** An entry as a record, in the partition of its command. */
export function journalRecord(
  command: Event<ExecuteTrade>,
  partition: number,
  entry: Omit<JournalEntry, "command_id" | "idempotency_key">,
): TransactionRecord {
  const { command_id, idempotency_key } = command.payload;
  const event = newEvent("exec.journal", {
    // Each state is entered at most once by one epoch.
    event_id: derivedEventId("exec.journal", command.event_id, entry.state, String(entry.epoch)),
    venue: command.venue,
    payload: { command_id, idempotency_key, ...entry },
    ...derivedFrom(command),
  });
  return { topic: topics.journal.name, key: command_id, partition, value: encodeEvent(event) };
}

/** A result as a record: one id per command, so that a second one would be recognised by it. */
export function resultRecord(
  command: Event<ExecuteTrade>,
  partition: number,
  result: TradeResult,
): TransactionRecord {
  const event = newEvent("exec.trade_result", {
    event_id: derivedEventId("exec.trade_result", command.event_id),
    venue: command.venue,
    payload: result,
    ...derivedFrom(command),
  });
  return { topic: topics.tradeResult.name, key: result.command_id, partition, value: encodeEvent(event) };
}

/** The journal cannot be understood: what was sent is not known, and going on would risk sending twice. */
export class JournalError extends Error {
  constructor(record: ReceivedRecord, venue: string, cause: unknown) {
    super(
      `${record.topic}, partition ${record.partition}, offset ${record.offset}: ${(cause as Error).message}. ` +
        `The executor of ${venue} does not start, because it cannot know what was sent. ` +
        "Correct or move the record by hand.",
      { cause },
    );
    this.name = "JournalError";
  }
}

/** One partition of the journal, read record by record, for one venue. */
export class Recovery {
  readonly #venue: string;
  readonly #open = new Map<string, OpenCommand>();
  readonly #onEnded: (ended: EndedCommand, reference: VenueReference) => void;
  readonly #ended = new Set<string>();
  #epoch = 0;

  /**
   * @param venue whose commands are read; others are another executor's.
   * @param onEnded called for each command that has ended, in order.
   */
  constructor(venue: string, onEnded: (ended: EndedCommand, reference: VenueReference) => void) {
    this.#venue = venue;
    this.#onEnded = onEnded;
  }

  /** Commands that have not ended, by id. */
  get open(): Map<string, OpenCommand> {
    return this.#open;
  }

  /** The highest epoch that has written; 0 when none has. */
  get epoch(): number {
    return this.#epoch;
  }

  /** Takes a record of the journal in. @throws JournalError when it cannot be read or contradicts what came before. */
  take(record: ReceivedRecord): void {
    try {
      const event = decodeEvent("exec.journal", record.value);
      if (event.venue === this.#venue) this.#takeEntry(event);
    } catch (error) {
      throw new JournalError(record, this.#venue, error);
    }
  }

  #takeEntry(event: Event<JournalEntry>): void {
    const entry = event.payload;
    const { command_id, state } = entry;
    this.#epoch = Math.max(this.#epoch, entry.epoch);
    const known = this.#open.get(command_id);
    if (known === undefined) {
      if (this.#ended.has(command_id))
        throw new Error(`command ${command_id} has ended already, found ${state}`);
      move(command_id, "RECEIVED", state);
      if (isTerminal(state)) return this.#end(entry, {});
      if (entry.command === undefined) throw new Error(`${state} of ${command_id} does not hold the command`);
      this.#open.set(command_id, {
        event: commandEvent(event, entry.command),
        state,
        reference: entry.reference ?? {},
      });
      return;
    }
    known.state = move(command_id, known.state, state);
    if (isTerminal(state)) {
      this.#open.delete(command_id);
      this.#end(entry, known.reference);
    }
  }

  #end(entry: JournalEntry, reference: VenueReference): void {
    const { command_id: id, idempotency_key: idempotencyKey, state, command, result } = entry;
    if (command === undefined || result === undefined) {
      throw new Error(`${state} of ${id} does not hold the command and its result`);
    }
    this.#ended.add(id);
    this.#onEnded({ id, idempotencyKey, command, result }, reference);
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
