/**
 * The venue-neutral executor of one partition: takes commands, writes INTENT to the journal, calls the venue once, and
 * brings every command to exactly one terminal state with one result. Many commands are under way at the same time;
 * a command is done with (and its offset may be committed) when its intent, or its end, is committed.
 *
 * It lives as long as the right to write to the partition's journal. When that is lost, everything stops without
 * another word: the next owner finds in the journal what has to be known, and never sends what this one may have sent.
 */
import { setTimeout as delay } from "node:timers/promises";
import { RecordsAbandonedError } from "../bus/consumer.ts";
import { putAside } from "../bus/dead-letters.ts";
import { RecordTooLargeError, type BatchingProducer } from "../bus/producer.ts";
import type { ReceivedRecord } from "../bus/record.ts";
import { topics } from "../bus/topics.ts";
import { TransactionLostError, type TransactionRecord } from "../bus/transaction.ts";
import { compare } from "../core/decimal.ts";
import type { Event } from "../core/envelope.ts";
import { decodeEvent, InvalidEventError } from "../core/events.ts";
import {
  nothingFilled,
  RefusedCommandError,
  type ExecutionVenue,
  type PreparedOrder,
  type Settlement,
} from "../core/execution-venue.ts";
import { forEvent } from "../core/log.ts";
import type { ServiceContext } from "../core/service.ts";
import { fromInstant, toInstant } from "../core/time.ts";
import type {
  ExecuteTrade,
  JournalEntry,
  Reason,
  TerminalStatus,
  TradeResult,
  VenueReference,
} from "../core/trading.ts";
import type { EndedCommands } from "./ended-commands.ts";
import { journalRecord, resultRecord, type OpenCommand } from "./journal.ts";
import type { ExecutionMetrics } from "./metrics.ts";
import { move, type CommandState } from "./state.ts";

/** Where journal entries and results go: all records of one call are committed together or not at all. */
export interface PartitionLog {
  /**
   * Resolves when the records are committed. @throws (rejects) TransactionLostError when the right to write is gone.
   * @param urgent false: they may wait a little for others. Default true.
   */
  send(records: readonly TransactionRecord[], urgent?: boolean): Promise<void>;
  /** Resolves when the right to write is gone. */
  readonly lost: Promise<Error>;
  /** Commits what is queued and ends. */
  close(): Promise<void>;
  /** Ends at once; what is not committed yet stays undone. */
  abandon(): Promise<void>;
}

/** What may be traded now; see risk.ts. */
export interface Gates {
  /** Why a command is refused, before its order is prepared. */
  command(event: Event<ExecuteTrade>): Reason | undefined;
  /** Why its order is refused. Counts the order when it is not. */
  order(command: ExecuteTrade, order: PreparedOrder): Reason | undefined;
  /** Why nothing may be sent now, also when it was allowed before; undefined while trading goes on. */
  stopped(): Reason | undefined;
}

/** Arguments of {@link PartitionExecutor}. */
export interface PartitionExecutorOptions {
  venue: ExecutionVenue;
  /** Partition of the commands, of their journal entries and of their results. */
  partition: number;
  /** This ownership's number: one more than any before it. */
  epoch: number;
  log: PartitionLog;
  gates: Gates;
  /** Where records go that hold no command. */
  deadLetters: Pick<BatchingProducer, "send">;
  context: Pick<ServiceContext, "settings" | "logger" | "metrics" | "fatal">;
  metrics: ExecutionMetrics;
  /** What the journal told of commands that have not ended, by command id. */
  open: ReadonlyMap<string, OpenCommand>;
  /** What the journal told of commands that have. */
  ended: EndedCommands;
  /** Commands with an intent and without a terminal state; more wait in Kafka. Default 2,000, about 3 KB each. */
  maximumInFlight?: number;
  /** Wall clock in milliseconds since the epoch. */
  now?: () => number;
}

/** Longest time to wait for the venue's answers when the partition is given away, in milliseconds. */
const closeDeadlineMs = 10_000;

/** A command is some hundred bytes; one above this, with its copies in the journal, would not fit into a batch. */
const largestCommand = 100_000;

/** A terminal state and what is reported with it. */
interface Outcome {
  status: TerminalStatus;
  reason?: Reason | undefined;
  filled?: TradeResult["filled"];
  reference?: VenueReference;
}

/** See the module's description. */
export class PartitionExecutor {
  readonly #options: PartitionExecutorOptions;
  readonly #venue: ExecutionVenue;
  readonly #open = new Map<string, OpenCommand>();
  readonly #ended: EndedCommands;
  /** By command id, until the command need not be delivered again. */
  readonly #taking = new Map<string, Promise<void>>();
  /** Command id by idempotency key, of open commands. */
  readonly #keys = new Map<string, string>();
  readonly #maximumInFlight: number;
  readonly #now: () => number;
  /** Aborted when nothing is waited for any more: closed, or the right to write is gone. */
  readonly #abort = new AbortController();
  /** No more commands are taken. */
  #closing = false;
  /** The right to write is gone: nothing is sent any more. */
  #lost = false;
  readonly #underway = new Set<Promise<void>>();
  readonly #submitting = new Set<Promise<unknown>>();
  readonly #canceled = new Set<string>();
  /** Commands that are about to be left resting. */
  readonly #leaving = new Set<string>();
  /** By command id: ends the wait for how an order ends. */
  readonly #settling = new Map<string, AbortController>();
  /** Commands are taken in the order they were handed over, also when one has to wait for room. */
  #turn: Promise<void> = Promise.resolve();
  #roomWaiters: (() => void)[] = [];

  constructor(options: PartitionExecutorOptions) {
    this.#options = options;
    this.#venue = options.venue;
    this.#ended = options.ended;
    this.#maximumInFlight = options.maximumInFlight ?? 2_000;
    this.#now = options.now ?? Date.now;
    this.#abort.signal.addEventListener("abort", () => {
      for (const settling of this.#settling.values()) settling.abort();
    });
    void options.log.lost.then(() => {
      this.#lost = true;
      this.#end();
    });
  }

  /** Commands with an intent and without a terminal state. */
  get inFlight(): number {
    return this.#underway.size;
  }

  /** Since when a command has been UNKNOWN, milliseconds by the monotonic clock: the longest one's. */
  get unknownSince(): number | undefined {
    const since = [...this.#open.values()].flatMap((command) => command.unknownSince ?? []);
    return since.length === 0 ? undefined : Math.min(...since);
  }

  /**
   * Settles with the venue what former owners left open; nothing is sent.
   * @returns a promise that resolves when all of it has ended (or this executor has).
   */
  async resume(): Promise<void> {
    for (const [id, command] of this.#options.open) {
      const unknown = command.state === "UNKNOWN" ? { unknownSince: performance.now() } : {};
      this.#open.set(id, { ...command, ...unknown });
      this.#keys.set(command.event.payload.idempotency_key, id);
    }
    for (const command of [...this.#open.values()]) {
      if (command.state === "CARRIED_OVER") continue;
      const neverSent = command.state === "INTENT";
      this.#start(() => this.#settle(command, true, neverSent));
    }
    await this.settled();
  }

  /**
   * Takes commands, in order; resolves when the intent, or the end, of each is committed.
   * @throws (rejects) RecordsAbandonedError when the right to write is gone before.
   */
  async handle(records: readonly ReceivedRecord[]): Promise<void> {
    const safe: Promise<void>[] = [];
    const turn = this.#turn.then(async () => {
      for (const record of records) {
        while (this.#underway.size >= this.#maximumInFlight && !this.#closing) await this.#room();
        if (this.#closing) throw this.#abandoned();
        const taken = this.#take(record);
        // Looked at below, all together; until then a failure is nobody's surprise.
        taken.catch(() => undefined);
        safe.push(taken);
      }
    });
    this.#turn = turn.catch(() => undefined);
    try {
      await turn;
      await Promise.all(safe);
    } catch (error) {
      throw error instanceof TransactionLostError ? this.#abandoned(error) : error;
    }
  }

  /** Resolves when no command is under way. */
  async settled(): Promise<void> {
    while (this.#underway.size > 0) await Promise.all(this.#underway);
  }

  /**
   * Asks the venue, once for each, to end all orders that may rest there; how each ended comes as its settlement. To be
   * called again while commands are taken.
   * @param isSpared commands whose orders are left alone this time.
   */
  async cancelOpen(isSpared: (command: ExecuteTrade) => boolean = () => false): Promise<void> {
    // The venue knows nothing yet of those whose INTENT is on the way: their turn comes with the next call.
    const resting = [...this.#open].filter(
      ([id, { event, state }]) =>
        state !== "RECEIVED" &&
        state !== "CARRIED_OVER" &&
        !(state === "SUBMITTED" && isSpared(event.payload)) &&
        !this.#taking.has(id) &&
        !this.#canceled.has(id) &&
        !this.#leaving.has(id),
    );
    await Promise.all(
      resting.map(async ([id, { event, reference }]) => {
        this.#canceled.add(id);
        await this.#venue.cancel?.(event.payload, reference);
      }),
    );
  }

  /**
   * Leaves orders alone that rest at the venue, and writes down what was filled of each: nothing is done about them any
   * more by anybody who works with this journal. An order of which the venue does not say that it rests is not left. To be
   * called before {@link cancelOpen}, which spares those that are being left.
   * @param mayLeave whether a command may be left resting when nobody looks after its deadline.
   * @throws Error when the venue does not tell how an order stands, before the signal.
   */
  async leaveResting(mayLeave: (command: ExecuteTrade) => boolean, signal: AbortSignal): Promise<void> {
    if (this.#venue.standing === undefined) return;
    const candidates = [...this.#open].filter(
      ([id, { event, state }]) =>
        state === "SUBMITTED" && !this.#canceled.has(id) && !this.#leaving.has(id) && mayLeave(event.payload),
    );
    for (const [id] of candidates) this.#leaving.add(id);
    await Promise.all(
      candidates.map(async ([id, command]) => {
        try {
          await this.#leave(command, signal);
        } finally {
          this.#leaving.delete(id);
        }
      }),
    );
  }

  async #leave(command: OpenCommand, signal: AbortSignal): Promise<void> {
    const { payload } = command.event;
    const standing = await this.#venue.standing?.(payload, command.reference, signal);
    // Else its end is on the way, or it is not known: then it is nothing that could be carried over.
    if (standing?.isResting !== true || command.state !== "SUBMITTED" || this.#lost) return;
    const written = this.#write(command, "CARRIED_OVER", { filled: standing.filled });
    // The state has changed in this turn: a settlement that comes now is the next cluster's to report.
    this.#settling.get(payload.command_id)?.abort();
    try {
      await written;
    } catch (error) {
      // What was not committed is the next owner's to find out.
      if (error instanceof TransactionLostError) return;
      throw error;
    }
    forEvent(this.#options.context.logger, command.event).info(
      { filled: standing.filled },
      "the order is left resting, the next cluster takes it over",
    );
  }

  /** Takes nothing more: who waits for room is told that the records are left to the next owner. */
  stopTaking(): void {
    this.#closing = true;
    for (const resolve of this.#roomWaiters.splice(0)) resolve();
  }

  /**
   * Takes nothing more, sends what has its INTENT, finishes the calls to the venue and writes their outcome down; what
   * is not settled is left to the next owner. Never rejects.
   */
  async close(): Promise<void> {
    const { log } = this.#options;
    this.stopTaking();
    const inOrder = (async () => {
      await Promise.allSettled(this.#taking.values());
      // Those whose INTENT has just been committed call the venue in this turn.
      await new Promise((resolve) => setImmediate(resolve));
      await Promise.allSettled(this.#submitting);
      this.#abort.abort();
      await Promise.allSettled(this.#underway);
      await log.close();
    })();
    const finished = await Promise.race([
      inOrder.then(() => true),
      delay(closeDeadlineMs, false, { ref: false }),
    ]);
    if (finished) return;
    // A successor may have begun: what still waits to be sent stays here.
    this.#lost = true;
    this.#abort.abort();
    await log.abandon();
  }

  #end(): void {
    this.stopTaking();
    this.#abort.abort();
  }

  #abandoned(cause?: unknown): RecordsAbandonedError {
    return new RecordsAbandonedError(
      { topic: topics.executeTrade.name, partition: this.#options.partition },
      cause,
    );
  }

  #take(record: ReceivedRecord): Promise<void> {
    const { context, deadLetters } = this.#options;
    let event: Event<ExecuteTrade>;
    try {
      const bytes = record.value?.length ?? 0;
      if (bytes > largestCommand) throw new RecordTooLargeError(record.topic, bytes, largestCommand);
      event = decodeEvent("cmd.execute_trade", record.value);
    } catch (error) {
      if (!(error instanceof InvalidEventError || error instanceof RecordTooLargeError)) throw error;
      return putAside(record, error, deadLetters, context);
    }
    const { command_id, venue } = event.payload;
    if (event.venue !== this.#venue.name || venue !== this.#venue.name) return Promise.resolve();
    if (this.#ended.has(command_id) || this.#open.has(command_id)) {
      forEvent(context.logger, event).info("command is known already, delivered again");
      // Delivered again while its INTENT is on the way: no more done than the first delivery is.
      return this.#taking.get(command_id) ?? Promise.resolve();
    }
    const taking = this.#begin(event);
    this.#taking.set(command_id, taking);
    void taking.then(
      () => this.#taking.delete(command_id),
      () => undefined,
    );
    return taking;
  }

  /** Takes a command that was not known. Resolves when it need not be delivered again. */
  #begin(event: Event<ExecuteTrade>): Promise<void> {
    const { payload } = event;
    const command: OpenCommand = { event, state: "RECEIVED", reference: {} };
    this.#open.set(payload.command_id, command);
    const refusal = this.#refusal(event);
    if (refusal !== undefined) return this.#finish(command, refusal);
    this.#keys.set(payload.idempotency_key, payload.command_id);
    let order: PreparedOrder;
    try {
      order = this.#venue.prepare(payload);
    } catch (error) {
      if (!(error instanceof RefusedCommandError)) throw error;
      return this.#finish(command, { status: "DENIED", reason: error.reason });
    }
    const reason = this.#options.gates.order(payload, order);
    if (reason !== undefined) return this.#finish(command, { status: "DENIED", reason });
    command.reference = order.reference;
    const intent = this.#write(command, "INTENT", { command: payload, reference: order.reference });
    this.#start(async () => {
      await intent;
      await this.#execute(command, order);
    });
    return intent;
  }

  /** Why a command is not executed, as far as that is known without its order. */
  #refusal(event: Event<ExecuteTrade>): Outcome | undefined {
    const { payload } = event;
    if (payload.instruction.kind === "canary") {
      return { status: "DENIED", reason: { code: "canary", message: "a probe, it came as far as it goes" } };
    }
    const key = payload.idempotency_key;
    const twin = this.#keys.get(key) ?? this.#ended.withKey(key);
    if (twin !== undefined) {
      const message = `command ${twin} has the idempotency key ${key}`;
      return { status: "DENIED", reason: { code: "duplicate_idempotency_key", message } };
    }
    if (this.#isLate(payload)) return late(payload);
    const reason = this.#options.gates.command(event);
    return reason === undefined ? undefined : { status: "DENIED", reason };
  }

  #isLate(command: ExecuteTrade): boolean {
    return this.#now() >= fromInstant(command.deadline);
  }

  async #execute(command: OpenCommand, order: PreparedOrder): Promise<void> {
    // Whoever owns the partition now finds the INTENT and settles it.
    if (this.#lost) return;
    const { payload } = command.event;
    const { context } = this.#options;
    // The process may have been frozen since the commit: nothing is between this look and the call.
    if (this.#isLate(payload)) return this.#finish(command, late(payload));
    const begun = performance.now();
    const call = order.submit(() => this.#whyNotSend());
    this.#submitting.add(call);
    const submission = await call.finally(() => this.#submitting.delete(call));
    context.metrics.venueCallLatency.observe(
      { venue: this.#venue.name, outcome: submission.outcome },
      (performance.now() - begun) / 1000,
    );
    switch (submission.outcome) {
      case "rejected":
        return this.#finish(command, { status: "REJECTED", reason: submission.reason });
      case "not_sent":
        if (this.#lost) return;
        return this.#finish(command, { status: "DENIED", reason: submission.reason });
      case "unknown":
        forEvent(context.logger, command.event).warn({ reason: submission.reason }, "outcome unknown");
        command.unknownSince = performance.now();
        await this.#write(command, "UNKNOWN", { reason: submission.reason });
        return this.#settle(command, true, false);
      case "accepted":
        // Not waited for: the journal keeps the order of entries, and the settlement may be here already.
        void this.#write(command, "SUBMITTED", {}).catch(() => undefined);
        return this.#settle(command, false, false);
    }
  }

  /** Why an order whose INTENT is written must not be sent any more, when it must not. */
  #whyNotSend(): Reason | undefined {
    if (!this.#lost) return this.#options.gates.stopped();
    const { partition } = this.#options;
    return { code: "ownership_lost", message: `the right to write for partition ${partition} is gone` };
  }

  /** @param neverSent the journal does not tell whether a former owner has sent it. */
  async #settle(command: OpenCommand, missed: boolean, neverSent: boolean): Promise<void> {
    const { command_id } = command.event.payload;
    if (this.#abort.signal.aborted) return;
    const abort = new AbortController();
    this.#settling.set(command_id, abort);
    const { signal } = abort;
    let settlement: Settlement;
    try {
      settlement = await this.#venue.settle(command.event.payload, command.reference, missed, signal);
    } catch (error) {
      if (signal.aborted) return;
      throw error;
    } finally {
      this.#settling.delete(command_id);
    }
    if (command.state === "CARRIED_OVER") return;
    if (neverSent && settlement.status === "EXPIRED" && isNothing(settlement.filled)) {
      const { code, message } = settlement.reason ?? { code: "expired", message: "" };
      settlement.reason = {
        code: "given_up",
        message: `a former executor may have sent it, so it was not sent again; the venue: ${code}, ${message}`,
      };
      this.#options.metrics.givenUp.inc({ venue: this.#venue.name });
      forEvent(this.#options.context.logger, command.event).warn({ code }, "command given up for safety");
    }
    await this.#finish(command, settlement);
  }

  #write(
    command: OpenCommand,
    state: Exclude<CommandState, "RECEIVED">,
    more: Partial<JournalEntry>,
    result?: TradeResult,
  ): Promise<void> {
    const { partition, epoch, log } = this.#options;
    const { event } = command;
    command.state = move(event.payload.command_id, command.state, state);
    const at = result?.completed_at ?? toInstant(this.#now());
    const entry = journalRecord(event, partition, { state, epoch, at, ...more });
    // SUBMITTED only informs: without it a successor asks the venue all the same. So it delays nobody's INTENT or result.
    if (result === undefined) return log.send([entry], state !== "SUBMITTED");
    return log.send([entry, resultRecord(event, partition, result)]);
  }

  /** Commits the terminal state and the result together. */
  async #finish(command: OpenCommand, outcome: Outcome): Promise<void> {
    const { payload } = command.event;
    const { command_id, idempotency_key, strategy } = payload;
    const { status, reason, reference } = outcome;
    const result: TradeResult = {
      command_id,
      idempotency_key,
      strategy,
      status,
      ...(reason === undefined ? {} : { reason }),
      filled: outcome.filled ?? nothingFilled(payload),
      reference: { ...command.reference, ...reference },
      completed_at: toInstant(this.#now()),
    };
    await this.#write(command, status, { command: payload, result }, result);
    const { metrics, context } = this.#options;
    context.metrics.tradeResults.inc({ venue: this.#venue.name, status });
    if (status === "DENIED") metrics.denials.inc({ venue: this.#venue.name, reason: reason?.code ?? "" });
    this.#open.delete(command_id);
    if (this.#keys.get(idempotency_key) === command_id) this.#keys.delete(idempotency_key);
    this.#ended.add(
      { id: command_id, idempotencyKey: idempotency_key, command: payload, result },
      command.reference,
    );
  }

  #start(run: () => Promise<void>): void {
    const { context } = this.#options;
    const task = run()
      .catch((error: unknown) => {
        // What was not committed is the next owner's to find out.
        if (error instanceof TransactionLostError) return;
        context.fatal(error);
      })
      .finally(() => {
        this.#underway.delete(task);
        context.metrics.commandsInFlight.dec({ venue: this.#venue.name });
        for (const resolve of this.#roomWaiters.splice(0)) resolve();
      });
    this.#underway.add(task);
    context.metrics.commandsInFlight.inc({ venue: this.#venue.name });
  }

  #room(): Promise<void> {
    return new Promise((resolve) => this.#roomWaiters.push(resolve));
  }
}

function late(command: ExecuteTrade): Outcome {
  return {
    status: "EXPIRED",
    reason: {
      code: "deadline_passed",
      message: `the deadline ${command.deadline} had passed before anything was sent`,
    },
  };
}

function isNothing(filled: TradeResult["filled"]): boolean {
  return filled.kind === "order" ? compare(filled.quantity, "0") === 0 : filled.amount_out === "0";
}
