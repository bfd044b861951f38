/** Sends canaries through the pipeline and says when it is ready for trading, and when it no longer is. */
import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { type AccountComparison, type ControlMessage, controlRecord } from "../bus/control.ts";
import type { BatchingProducer } from "../bus/producer.ts";
import type { OutgoingRecord } from "../bus/record.ts";
import { canaryRoutes, type CanaryVenue } from "../bus/stage-canary.ts";
import { topicName } from "../bus/topics.ts";
import { encodeEvent, type Event } from "../core/envelope.ts";
import { newEvent } from "../core/events.ts";
import { newSessionId, rawEventId } from "../core/ids.ts";
import { canaryMessageType } from "../core/market-data.ts";
import type { ServiceContext } from "../core/service.ts";
import { toInstant } from "../core/time.ts";
import type { TradeResult } from "../core/trading.ts";
import { Readiness, type Path, type Verdict } from "./readiness.ts";

/** Between two looks at what is due. */
const tickMs = 1_000;

/** How long the drain waits for canaries that are on their way. */
const patienceMs = 10_000;

/** Arguments of {@link Canaries}. */
export interface CanariesOptions {
  context: Pick<ServiceContext, "settings" | "logger" | "metrics">;
  producer: Pick<BatchingProducer, "send">;
  venues: readonly CanaryVenue[];
  /** Names of the strategies that answer at a venue; none: any one answer is enough. */
  strategies: (venue: CanaryVenue) => readonly string[];
  /** Between two rounds, in milliseconds. */
  everyMs: number;
  /** What the comparisons of the accounts have come to by now; asked whenever trading becomes ready. */
  accounts: () => Promise<AccountComparison[]>;
}

/** Is this the end of a canary, and not of a trade? */
export function isCanaryResult({ reason }: TradeResult): boolean {
  return reason?.code === "canary";
}

/** See the module's description. */
export class Canaries {
  readonly #options: CanariesOptions;
  readonly #readiness: Readiness<CanaryVenue>;
  readonly #session = newSessionId();
  #sequence = 0;
  #timer: NodeJS.Timeout | undefined;
  #isOver = false;
  /** What was last said to be missing. */
  #missing = "";
  /** Messages leave in the order of what they tell. */
  #saying: Promise<void> = Promise.resolve();

  constructor(options: CanariesOptions) {
    const { venues, strategies, everyMs, context } = options;
    this.#options = options;
    const paths = venues.flatMap((venue) =>
      Array.from({ length: canaryRoutes[venue].raw.partitions }, (_, partition) => ({ venue, partition })),
    );
    this.#readiness = new Readiness(paths, strategies, { everyMs }, Date.now());
    context.metrics.tradingReady.set(0);
  }

  /** Begins to send, unless {@link stop} came first. */
  start(): void {
    if (this.#isOver) return;
    this.#timer = setInterval(() => this.#tick(), tickMs);
    this.#timer.unref();
    this.#tick();
  }

  /** Takes the result of a canary in. @param timestamp of its record, in milliseconds since the epoch. */
  take(result: Event<TradeResult>, timestamp: number): void {
    const answer = this.#readiness.answered(result.correlation_id ?? "", result.payload.strategy);
    if (answer === undefined) return;
    const { venue, sentAt, verdict } = answer;
    this.#options.context.metrics.canaryLatency.observe({ venue }, (timestamp - sentAt) / 1000);
    this.#say(verdict);
  }

  /** Sends no more: trading is over. */
  stop(): void {
    this.#isOver = true;
    clearInterval(this.#timer);
    this.#readiness.end();
    this.#options.context.metrics.tradingReady.set(0);
  }

  /** Resolves when no canary is on its way any more, or has been for so long that it will not arrive. */
  async settled(signal: AbortSignal): Promise<void> {
    const end = performance.now() + patienceMs;
    while (this.#readiness.open > 0 && performance.now() < end) await delay(20, undefined, { signal });
    if (this.#readiness.open > 0) {
      this.#options.context.logger.warn({ canaries: this.#readiness.open }, "canaries were never answered");
    }
  }

  #tick(): void {
    const now = Date.now();
    const { send, verdict } = this.#readiness.tick(now);
    for (const path of send) this.#send(path, now);
    this.#say(verdict);
  }

  #send(path: Path<CanaryVenue>, now: number): void {
    const { producer, context } = this.#options;
    const { record, id, canaryId } = canaryRecord(
      path,
      { session: this.#session, sequence: this.#sequence },
      now,
      context.settings.BUSINESS_DATE,
    );
    this.#sequence += 1;
    this.#readiness.sent(path, id, canaryId, now);
    // A producer that fails says so itself, and the service stops.
    producer.send(record).catch(() => undefined);
  }

  #say(verdict: Verdict | undefined): void {
    if (verdict === undefined) return;
    const { context } = this.#options;
    if (verdict.kind === "ready") {
      context.metrics.tradingReady.set(1);
      context.logger.info({ canaries: verdict.canaries }, "trading ready");
      this.#missing = "";
      const at = toInstant(Date.now());
      this.#publish(async () => {
        const accounts = await this.#accounts();
        return { type: "trading_ready", at, canaries: [...verdict.canaries], ...(accounts && { accounts }) };
      });
      return;
    }
    const { missing, was } = verdict;
    context.metrics.tradingReady.set(0);
    if (was) context.logger.error({ missing }, "trading is no longer ready: canaries are not answered");
    else context.logger.warn({ missing }, "trading is not ready yet: canaries are not answered");
    this.notReady(missing.map((path) => `no answer to canaries: ${path}`));
  }

  /** Tells everyone what is missing, unless that was the last thing said. */
  notReady(missing: readonly string[]): void {
    const text = missing.join("; ");
    if (text === this.#missing) return;
    this.#missing = text;
    const at = toInstant(Date.now());
    this.#publish(async () => ({ type: "trading_not_ready", at, missing: [...missing] }));
  }

  #publish(make: () => Promise<ControlMessage>): void {
    const { producer, context } = this.#options;
    this.#saying = this.#saying.then(async () => {
      // A producer that fails says so itself, and the service stops.
      const message = await make();
      await producer.send(controlRecord(message, context.settings.SERVICE_NAME)).catch(() => undefined);
    });
  }

  /** Undefined when they cannot be read: that the canaries came through is worth saying without them. */
  async #accounts(): Promise<AccountComparison[] | undefined> {
    try {
      return await this.#options.accounts();
    } catch (error) {
      this.#options.context.logger.error({ err: error }, "what became of the accounts could not be read");
      return undefined;
    }
  }
}

/** Makes a raw canary. Its key decides nothing: the partition is given. */
function canaryRecord(
  { venue, partition }: Path<CanaryVenue>,
  { session, sequence }: { session: string; sequence: number },
  now: number,
  businessDate: string,
): { record: OutgoingRecord; id: string; canaryId: string } {
  const { raw, rawType } = canaryRoutes[venue];
  const id = rawEventId(session, sequence);
  const canaryId = randomUUID();
  const sentAt = toInstant(now);
  const event = newEvent(rawType, {
    event_id: id,
    venue,
    observed_at: sentAt,
    ingested_at: sentAt,
    payload: { session_id: session, sequence, message_type: canaryMessageType },
    raw: JSON.stringify({ canary_id: canaryId, sent_at: sentAt }),
    correlation_id: id,
  });
  const topic = topicName(raw, businessDate);
  return { record: { topic, key: canaryId, partition, value: encodeEvent(event) }, id, canaryId };
}
