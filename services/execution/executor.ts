/**
 * The venue-neutral executor: takes commands, writes INTENT to the journal, calls the venue once, and brings
 * every command to exactly one terminal state with one result. Many commands are under way at the same time;
 * a batch of commands is done with (and its offsets may be committed) when their intents are safe.
 */
import { setMaxListeners } from "node:events";
import { putAside } from "../bus/dead-letters.ts";
import type { BatchingProducer } from "../bus/producer.ts";
import type { ReceivedRecord } from "../bus/record.ts";
import { compare } from "../core/decimal.ts";
import type { Event } from "../core/envelope.ts";
import { decodeEvent, InvalidEventError } from "../core/events.ts";
import { type ExecuteTrade, type Reason, type TradeResult, type VenueReference } from "../core/trading.ts";
import { forEvent } from "../core/log.ts";
import type { ServiceContext } from "../core/service.ts";
import { fromInstant, toInstant } from "../core/time.ts";
import { Journal, resultRecord, type KnownCommand, type Recovered } from "./journal.ts";
import { move, type CommandState } from "./state.ts";
import {
  nothingFilled,
  RefusedCommandError,
  type ExecutionVenue,
  type PreparedOrder,
  type Settlement,
} from "../core/execution-venue.ts";

/** Arguments of the executor. */
export interface ExecutorOptions {
  venue: ExecutionVenue;
  producer: Pick<BatchingProducer, "send">;
  context: Pick<ServiceContext, "settings" | "logger" | "metrics" | "fatal">;
  /** What the journal told; see {@link Recovered}. */
  recovered: Recovered;
  /** Commands with an intent and without a terminal state; more wait in Kafka. Default 5,000, about 2 KB each. */
  maximumInFlight?: number;
  /** Wall clock in milliseconds since the epoch. */
  now?: () => number;
}

/** A terminal state and what is reported with it. */
interface Outcome {
  status: TradeResult["status"];
  reason?: Reason | undefined;
  filled?: TradeResult["filled"];
  reference?: VenueReference;
}

/** See the module's description. */
export class Executor {
  readonly #venue: ExecutionVenue;
  readonly #producer: Pick<BatchingProducer, "send">;
  readonly #context: ExecutorOptions["context"];
  readonly #journal: Journal;
  readonly #commands: Map<string, KnownCommand>;
  /** By command id, until the command need not be delivered again. */
  readonly #taking = new Map<string, Promise<void>>();
  /** Command id by idempotency key. */
  readonly #keys = new Map<string, string>();
  readonly #maximumInFlight: number;
  readonly #now: () => number;
  readonly #abort = new AbortController();
  readonly #underway = new Set<Promise<void>>();
  readonly #submitting = new Set<Promise<unknown>>();
  #roomWaiters: (() => void)[] = [];

  constructor(options: ExecutorOptions) {
    this.#venue = options.venue;
    // Every open command listens.
    setMaxListeners(0, this.#abort.signal);
    this.#producer = options.producer;
    this.#context = options.context;
    this.#journal = new Journal(options.producer, options.recovered.epoch);
    this.#commands = options.recovered.commands;
    this.#maximumInFlight = options.maximumInFlight ?? 5_000;
    this.#now = options.now ?? Date.now;
    for (const known of this.#commands.values()) this.#keys.set(known.idempotencyKey, known.id);
  }

  /** Commands with an intent and without a terminal state. */
  get inFlight(): number {
    return this.#underway.size;
  }

  /**
   * Completes what a former executor left: publishes results that are missing, and settles open commands with
   * the venue in the background. Nothing is sent to the venue again.
   */
  async resume(recovered: Recovered): Promise<void> {
    const { logger } = this.#context;
    for (const { command, result } of recovered.missingResults) {
      await this.#producer.send(resultRecord(command, result));
    }
    for (const { known, result } of recovered.missingEntries) {
      if (known.command === undefined) continue;
      await this.#journal.append(known.command, known.partition, {
        state: result.status,
        at: toInstant(this.#now()),
        result,
      });
      this.#moved(known, result.status);
      known.command = undefined;
    }
    let open = 0;
    for (const known of this.#commands.values()) {
      if (known.command === undefined) continue;
      open += 1;
      this.#start(known, known.command, (command) => this.#settle(known, command, true));
    }
    logger.info(
      {
        epoch: this.#journal.epoch,
        known: this.#commands.size,
        open,
        missing_results: recovered.missingResults.length,
      },
      "journal read",
    );
  }

  /** Takes commands of one partition, in order; resolves when the intent, or the end, of each is safe. */
  async handle(records: readonly ReceivedRecord[]): Promise<void> {
    const safe: Promise<void>[] = [];
    for (const record of records) {
      while (this.#underway.size >= this.#maximumInFlight) await this.#room();
      safe.push(this.#take(record));
    }
    await Promise.all(safe);
  }

  /** Resolves when no command is under way. */
  async settled(): Promise<void> {
    while (this.#underway.size > 0) await Promise.all(this.#underway);
  }

  /** Finishes calls to the venue that are being made; what is not settled is left to the next executor. */
  async stop(): Promise<void> {
    this.#abort.abort();
    await Promise.allSettled(this.#submitting);
    await Promise.allSettled(this.#underway);
    await this.#venue.close();
  }

  #take(record: ReceivedRecord): Promise<void> {
    let command: Event<ExecuteTrade>;
    try {
      command = decodeEvent("cmd.execute_trade", record.value);
    } catch (error) {
      if (!(error instanceof InvalidEventError)) throw error;
      return putAside(record, error, this.#producer, this.#context);
    }
    const { command_id } = command.payload;
    const logger = forEvent(this.#context.logger, command);
    if (command.venue !== this.#venue.name || command.payload.venue !== this.#venue.name) {
      return Promise.resolve();
    }
    if (this.#commands.has(command_id)) {
      logger.info("command is known already, delivered again");
      // Delivered again after a rebalance while its INTENT is on the way: no more done than the first delivery is.
      return this.#taking.get(command_id) ?? Promise.resolve();
    }
    const taking = this.#begin(record, command);
    this.#taking.set(command_id, taking);
    void taking.then(
      () => this.#taking.delete(command_id),
      () => undefined,
    );
    return taking;
  }

  /** Takes a command that was not known. Resolves when it need not be delivered again. */
  #begin(record: ReceivedRecord, command: Event<ExecuteTrade>): Promise<void> {
    const { command_id, idempotency_key } = command.payload;
    const known: KnownCommand = {
      id: command_id,
      idempotencyKey: idempotency_key,
      partition: record.partition,
      state: "RECEIVED",
      command,
      reference: {},
    };
    this.#commands.set(command_id, known);
    const twin = this.#keys.get(idempotency_key);
    const refusal =
      twin === undefined
        ? this.#refusal(command.payload)
        : denied("duplicate_idempotency_key", `command ${twin} has the idempotency key ${idempotency_key}`);
    if (refusal !== undefined) return this.#finish(known, command, refusal);
    this.#keys.set(idempotency_key, command_id);
    let order: PreparedOrder;
    try {
      order = this.#venue.prepare(command.payload);
    } catch (error) {
      if (!(error instanceof RefusedCommandError)) throw error;
      return this.#finish(known, command, { status: "DENIED", reason: error.reason });
    }
    known.reference = order.reference;
    this.#moved(known, "INTENT");
    const intent = this.#journal.append(command, known.partition, {
      state: "INTENT",
      at: toInstant(this.#now()),
      command: command.payload,
      reference: order.reference,
    });
    this.#start(known, command, async () => {
      await intent;
      await this.#execute(known, command, order);
    });
    return intent;
  }

  /** Why a command is not executed, as far as that is known without the venue. */
  #refusal(command: ExecuteTrade): Outcome | undefined {
    if (this.#isLate(command)) return this.#late(command);
    const { instruction, limits } = command;
    if (instruction.kind !== "answer_swap") return undefined;
    const highest = limits.max_amount_out ?? "0";
    return compare(instruction.amount_out, highest) > 0
      ? denied("limit_exceeded", `amount_out ${instruction.amount_out} is above ${highest}`)
      : undefined;
  }

  #isLate(command: ExecuteTrade): boolean {
    return this.#now() >= fromInstant(command.deadline);
  }

  #late(command: ExecuteTrade): Outcome {
    return {
      status: "EXPIRED",
      reason: {
        code: "deadline_passed",
        message: `the deadline ${command.deadline} had passed before anything was sent`,
      },
    };
  }

  async #execute(known: KnownCommand, command: Event<ExecuteTrade>, order: PreparedOrder): Promise<void> {
    // A stop that came while the intent was written: the next executor finds it and settles it.
    if (this.#abort.signal.aborted) return;
    if (this.#isLate(command.payload)) return this.#finish(known, command, this.#late(command.payload));
    const begun = performance.now();
    const call = order.submit();
    this.#submitting.add(call);
    const submission = await call.finally(() => this.#submitting.delete(call));
    this.#context.metrics.venueCallLatency.observe(
      { venue: this.#venue.name, outcome: submission.outcome },
      (performance.now() - begun) / 1000,
    );
    switch (submission.outcome) {
      case "rejected":
        return this.#finish(known, command, { status: "REJECTED", reason: submission.reason });
      case "not_sent":
        return this.#finish(known, command, { status: "DENIED", reason: submission.reason });
      case "unknown":
        forEvent(this.#context.logger, command).warn({ reason: submission.reason }, "outcome unknown");
        await this.#step(known, command, "UNKNOWN", submission.reason);
        return this.#settle(known, command, true);
      case "accepted":
        // Not waited for: the journal keeps the order of entries, and the settlement may be here already.
        void this.#step(known, command, "SUBMITTED").catch(() => undefined);
        return this.#settle(known, command, false);
    }
  }

  #step(
    known: KnownCommand,
    command: Event<ExecuteTrade>,
    state: "SUBMITTED" | "UNKNOWN",
    reason?: Reason,
  ): Promise<void> {
    this.#moved(known, state);
    return this.#journal.append(command, known.partition, {
      state,
      at: toInstant(this.#now()),
      ...(reason === undefined ? {} : { reason }),
    });
  }

  async #settle(known: KnownCommand, command: Event<ExecuteTrade>, missed: boolean): Promise<void> {
    const { signal } = this.#abort;
    let settlement: Settlement;
    try {
      settlement = await this.#venue.settle(command.payload, known.reference, missed, signal);
    } catch (error) {
      if (signal.aborted) return;
      throw error;
    }
    await this.#finish(known, command, settlement);
  }

  /** Writes the terminal state and the result together; resolves when both are safe. */
  async #finish(known: KnownCommand, command: Event<ExecuteTrade>, outcome: Outcome): Promise<void> {
    const { command_id, idempotency_key, strategy } = command.payload;
    this.#moved(known, outcome.status);
    const at = toInstant(this.#now());
    const result: TradeResult = {
      command_id,
      idempotency_key,
      strategy,
      status: outcome.status,
      ...(outcome.reason === undefined ? {} : { reason: outcome.reason }),
      filled: outcome.filled ?? nothingFilled(command.payload),
      reference: { ...known.reference, ...outcome.reference },
      completed_at: at,
    };
    // Whichever of the two is missing after a crash, the next executor adds: it reads both topics.
    await Promise.all([
      this.#journal.append(command, known.partition, {
        state: outcome.status,
        at,
        command: command.payload,
        result,
      }),
      this.#producer.send(resultRecord(command, result)),
    ]);
    this.#context.metrics.tradeResults.inc({ venue: this.#venue.name, status: outcome.status });
    known.command = undefined;
    known.reference = {};
  }

  #moved(known: KnownCommand, state: CommandState): void {
    known.state = move(known.id, known.state, state);
  }

  #start(
    known: KnownCommand,
    command: Event<ExecuteTrade>,
    run: (command: Event<ExecuteTrade>) => Promise<void>,
  ): void {
    const venue = this.#venue.name;
    const task = run(command)
      .catch((error: unknown) => this.#context.fatal(error))
      .finally(() => {
        this.#underway.delete(task);
        this.#context.metrics.commandsInFlight.set({ venue }, this.#underway.size);
        for (const resolve of this.#roomWaiters.splice(0)) resolve();
      });
    this.#underway.add(task);
    this.#context.metrics.commandsInFlight.set({ venue }, this.#underway.size);
  }

  #room(): Promise<void> {
    return new Promise((resolve) => this.#roomWaiters.push(resolve));
  }
}

function denied(code: string, message: string): Outcome {
  return { status: "DENIED", reason: { code, message } };
}
