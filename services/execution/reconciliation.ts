/**
 * Compares the account with the venue when the day begins, at each later start and at the drain, and tells of what
 * does not fit. A mismatch stops trading at this venue, in all executors, until a person releases the kill switch.
 */
import { setTimeout as delay } from "node:timers/promises";
import { controlRecord, type KillSwitchMessage } from "../bus/control.ts";
import type { Kafka } from "../bus/kafka.ts";
import { readPartition } from "../bus/partition-log.ts";
import type { BatchingProducer } from "../bus/producer.ts";
import { topics } from "../bus/topics.ts";
import { encodeEvent } from "../core/envelope.ts";
import { decodeEvent, newEvent } from "../core/events.ts";
import type { ExecutionVenue, ReportedFill } from "../core/execution-venue.ts";
import { derivedEventId } from "../core/ids.ts";
import type { ServiceContext } from "../core/service.ts";
import { toInstant } from "../core/time.ts";
import type { AccountSnapshot, Reconciliation as ReconciliationPayload } from "../core/trading.ts";
import { acceptedBaseline, differences, type Fills, foreignOrders, withoutFills } from "./account.ts";
import type { EndedCommands } from "./ended-commands.ts";
import { mismatchReason, type TradingGates } from "./gates.ts";
import { JournalView } from "./journal-view.ts";
import type { ExecutionMetrics } from "./metrics.ts";
import { openFills } from "./open-fills.ts";

/** The partition whose owner compares the account. */
const keeperPartition = 0;

/**
 * Journal and account are not read at the same instant, and other executors may be trading: a difference counts when so
 * many looks in a row show one, with this pause between them, in milliseconds.
 */
const looks = 3;
const betweenLooksMs = 500;

/** Pause before the venue is asked again that did not tell the account, in milliseconds. */
const askAgainMs = 1_000;

/** Arguments of {@link Reconciliation}. */
export interface ReconciliationOptions {
  kafka: Kafka;
  venue: ExecutionVenue;
  producer: Pick<BatchingProducer, "send">;
  gates: Pick<TradingGates, "apply" | "releasedAt">;
  context: ServiceContext;
  metrics: ExecutionMetrics;
}

interface History {
  /** The account before the first order of the day, or as a person has accepted it since, without what was filled. */
  baseline: AccountSnapshot | undefined;
  /** Of the last mismatch with this baseline. */
  mismatchAt: string | undefined;
}

/** See the module's description. */
export class Reconciliation {
  readonly #options: ReconciliationOptions;

  constructor(options: ReconciliationOptions) {
    this.#options = options;
  }

  /**
   * To be called when a partition has been taken and before it works: the owner of partition 0 records the day's
   * baseline, or compares. A mismatch that a person has released since is accepted: what differs becomes part of the
   * baseline. The others wait for the baseline, so that it has none of the day's fills in it.
   * An account that the venue does not tell is asked for again and again: nothing is traded on an unknown one.
   * @param progress called again and again while it waits.
   * @throws the signal's reason.
   */
  async beforeWork(partition: number, signal: AbortSignal, progress: () => void): Promise<void> {
    if (this.#options.venue.account === undefined) return;
    if (partition === keeperPartition) return this.#open(signal, progress);
    while ((await this.#history(signal)).baseline === undefined) {
      progress();
      await delay(250, undefined, { signal });
    }
  }

  /** Compares once more, when every command has ended. @param owned the partitions of this process. */
  async atDrain(owned: readonly number[], signal: AbortSignal): Promise<void> {
    if (this.#options.venue.account === undefined || !owned.includes(keeperPartition)) return;
    const { baseline } = await this.#history(signal);
    if (baseline !== undefined) await this.#compare(baseline, signal);
  }

  /** Tells of a fill that came after its command's end, once. */
  async lateFill(fill: ReportedFill, ended: readonly EndedCommands[]): Promise<void> {
    for (const commands of ended) {
      const order = commands.takeLate(fill);
      if (order === undefined) continue;
      this.#options.context.logger.error(
        { command_id: order.id, status: order.status, filled: order.filled, reported: fill.filled },
        "the venue filled a command after its terminal result: a person has to look",
      );
      const { filled, reference } = fill;
      const at = toInstant(Date.now());
      await this.#record({
        kind: "late_fill",
        at,
        command_id: order.id,
        status: order.status,
        filled,
        reference,
      });
    }
  }

  async #open(signal: AbortSignal, progress: () => void): Promise<void> {
    const { baseline, mismatchAt } = await this.#history(signal);
    if (baseline !== undefined) {
      const { releasedAt } = this.#options.gates;
      const isAccepted = mismatchAt !== undefined && releasedAt !== undefined && releasedAt > mismatchAt;
      return this.#compare(baseline, signal, { isAccepted, progress });
    }
    const view = await this.#view(signal);
    const { account, carried } = await this.#firstAccount(view, signal, progress);
    const at = toInstant(Date.now());
    await this.#record({
      kind: "account_baseline",
      at,
      account: withoutFills(account, [view.books.fills, carried]),
    });
    const foreign = foreignOrders(view.books, view.mark().pending(), account);
    if (foreign.length > 0) await this.#mismatch(account, foreign);
  }

  /**
   * The account before the first order of the day, and what it already holds of orders that were carried over: their results
   * will tell all that was filled of them, so the baseline must not have it, too.
   */
  async #firstAccount(
    view: JournalView,
    signal: AbortSignal,
    progress: () => void,
  ): Promise<{ account: AccountSnapshot; carried: Fills }> {
    const { venue, context } = this.#options;
    const { open } = view;
    for (;;) {
      const before = await openFills({ venue, open, context, progress, signal });
      const account = await this.#account(signal, progress);
      const carried = await openFills({ venue, open, context, progress, signal });
      if (carried.isSameAs(before)) return { account, carried };
      // Something was filled while the account was read: it may be in it or not.
      await delay(betweenLooksMs, undefined, { signal });
    }
  }

  /** @param isAccepted a person has looked at the last mismatch: what differs now becomes part of the baseline. */
  async #compare(
    baseline: AccountSnapshot,
    signal: AbortSignal,
    { isAccepted = false, progress = () => undefined }: { isAccepted?: boolean; progress?: () => void } = {},
  ): Promise<void> {
    const view = await this.#view(signal);
    for (let look = 1; ; look += 1) {
      const { books, pending } = view.mark();
      const account = await this.#account(signal, progress);
      // What began or ended while the account was read may be in it or not.
      await view.read(signal);
      const at = toInstant(Date.now());
      const found = differences(baseline, books, pending(), account);
      if (found.length === 0) return this.#record({ kind: "account_matched", at, account });
      if (look >= looks) {
        if (!isAccepted) return this.#mismatch(account, found);
        const accepted = acceptedBaseline(baseline, books, pending(), account);
        return this.#record({ kind: "account_baseline", at, account: accepted });
      }
      await delay(betweenLooksMs, undefined, { signal });
    }
  }

  async #mismatch(account: AccountSnapshot, found: string[]): Promise<void> {
    const { context, gates, producer, venue } = this.#options;
    const at = toInstant(Date.now());
    const by = context.settings.SERVICE_NAME;
    const reason = `${mismatchReason}${found.join("; ")}`.slice(0, 1_000);
    const stop: KillSwitchMessage = {
      type: "kill_switch",
      state: "engaged",
      scope: venue.name,
      reason,
      by,
      at,
    };
    gates.apply(stop);
    context.logger.error({ differences: found }, "the account differs from our books: trading is blocked");
    await producer.send(controlRecord(stop, by));
    await this.#record({ kind: "account_mismatch", at, account, differences: found });
  }

  async #record(payload: ReconciliationPayload): Promise<void> {
    const { context, metrics, producer, venue } = this.#options;
    const { kind, at } = payload;
    metrics.reconciliationEvents.inc({ venue: venue.name, kind });
    context.logger.info({ kind }, "reconciliation");
    const subject = payload.kind === "late_fill" ? payload.command_id : `${venue.name} ${at}`;
    const event = newEvent("exec.reconciliation", {
      event_id: derivedEventId("exec.reconciliation", subject, kind),
      venue: venue.name,
      observed_at: at,
      ingested_at: at,
      payload,
    });
    await producer.send({ topic: topics.reconciliation.name, key: venue.name, value: encodeEvent(event) });
  }

  /** What the account is compared with, and when it was last found to differ from that. */
  async #history(signal: AbortSignal): Promise<History> {
    const { kafka, venue, context } = this.#options;
    let history: History = { baseline: undefined, mismatchAt: undefined };
    for (let partition = 0; partition < topics.reconciliation.partitions; partition += 1) {
      await readPartition({
        kafka,
        topic: topics.reconciliation.name,
        partition,
        onRecord: ({ value }) => {
          const { venue: name, payload } = decodeEvent("exec.reconciliation", value);
          if (name !== venue.name) return;
          // The key is the venue's name, so its events are in one partition and in order.
          if (payload.kind === "account_baseline") {
            history = { baseline: payload.account, mismatchAt: undefined };
          } else if (payload.kind === "account_mismatch") history.mismatchAt = payload.at;
        },
        signal,
        logger: context.logger,
      });
    }
    return history;
  }

  async #view(signal: AbortSignal): Promise<JournalView> {
    const { kafka, venue, context } = this.#options;
    const view = new JournalView(kafka, venue.name, context);
    await view.read(signal);
    return view;
  }

  async #account(signal: AbortSignal, progress: () => void): Promise<AccountSnapshot> {
    const { venue, context } = this.#options;
    for (;;) {
      progress();
      try {
        const account = await venue.account?.();
        if (account !== undefined) return account;
      } catch (error) {
        context.logger.warn(
          { err: error, venue: venue.name },
          "the venue does not tell the account, asking again",
        );
      }
      await delay(askAgainMs, undefined, { signal });
    }
  }
}
