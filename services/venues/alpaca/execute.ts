/**
 * Executes commands at Alpaca: an order over REST whose `client_order_id` is the command's id, then its end from the
 * stream of trade updates, and from questions where no update comes.
 *
 * What a command's deadline means here: nothing is sent after it, and what was sent does not stay: an order that is
 * still open then is canceled, and the command ends with what was filled until the venue confirms that. So a strategy
 * that wants all or nothing at once says `ioc` or `fok`; `day` and `gtc` orders rest until the deadline at most.
 */
import type { z } from "zod";
import { Backoff } from "../../core/backoff.ts";
import { integer, text, url } from "../../core/config.ts";
import { compare } from "../../core/decimal.ts";
import {
  nothingFilled,
  type ExecutionVenue,
  type MarketClock,
  type MayStillSend,
  type OrderStanding,
  type PreparedOrder,
  type ReportedFill,
  type Settlement,
  type Submission,
} from "../../core/execution-venue.ts";
import type { Feed } from "../../core/feed-connection.ts";
import type { ServiceContext } from "../../core/service.ts";
import { fromInstant } from "../../core/time.ts";
import type { AccountSnapshot, ExecuteTrade, Reason, VenueReference } from "../../core/trading.ts";
import { OrderWatch } from "./order-watch.ts";
import {
  filledOf,
  isEnded,
  notionalOf,
  orderBody,
  orderOf,
  settlementOf,
  type OrderBody,
  type VenueOrder,
} from "./orders.ts";
import { openTradeUpdates } from "./trade-updates.ts";
import { TradingApi } from "./trading-api.ts";

/**
 * After the deadline, an order that was written to the connection just before it may still be on its way: as long as an
 * answer is waited for. "Not found" counts only after this, in milliseconds.
 */
const defaultGraceMs = 5_000;

/** Longest time for account, clock and a cancellation from outside, in milliseconds. */
const reportMs = 30_000;

/** Pauses between two cancellations of one order, in milliseconds; in each the order is asked for. */
const cancelPauses = { first: 1_000, longest: 10_000 };

/** How long before the last update an order may have been submitted that still fills unseen, in milliseconds. */
const lookBackMs = 10 * 60_000;

/** How many orders' fills are remembered, so that none is reported twice. */
const rememberedFills = 10_000;

/**
 * How many fills are reported again that no command of this process waited for: as many as may be in the look back with
 * the usual budget. The first look back comes before any journal has been read, and a partition may come to us only after
 * a fill of its orders: so whoever knows the order hears of it later, too.
 */
const repeatedFills = 2_000;

/** Pause between these reports, in milliseconds. */
const defaultRepeatMs = 30_000;

const deadlineCause: Reason = {
  code: "deadline_passed",
  message: "the order was still open at the command's deadline and was canceled",
};
const requestCause: Reason = { code: "canceled", message: "the order was canceled on our request" };

/** Arguments of {@link AlpacaVenue}. */
export interface AlpacaVenueOptions {
  /** Trading API without `/v2`: `https://paper-api.alpaca.markets`. */
  restUrl: string;
  /** Trade updates: `wss://paper-api.alpaca.markets/stream`. */
  updatesUrl: string;
  keyId: string;
  secretKey: string;
  /** The account's budget; Alpaca's default is 200. */
  requestsPerMinute: number;
  context: Pick<ServiceContext, "logger" | "metrics" | "health" | "fatal">;
  /** See {@link defaultGraceMs}. */
  graceMs?: number;
  /** Longest wait for an answer of the trading API, in milliseconds. Default 5,000. */
  answerMs?: number;
  /** See {@link defaultRepeatMs}. */
  repeatMs?: number;
}

/** Alpaca as a venue of the executor. */
export class AlpacaVenue implements ExecutionVenue {
  readonly name = "alpaca";
  readonly graceMs: number;
  readonly #context: AlpacaVenueOptions["context"];
  readonly #api: TradingApi;
  readonly #updates: Feed;
  readonly #watches = new Map<string, OrderWatch>();
  /** Filled quantity last reported, by client order id, oldest first. */
  readonly #reported = new Map<string, string>();
  /** The last fill of each order that had no watch then, by client order id, oldest first. See {@link repeatedFills}. */
  readonly #unclaimed = new Map<string, ReportedFill>();
  readonly #repeating: NodeJS.Timeout;
  readonly #closed = new AbortController();
  #missedSince = Infinity;
  #isCatchingUp = false;
  #onFill: (fill: ReportedFill) => void = () => undefined;

  constructor(options: AlpacaVenueOptions) {
    const { context, keyId, secretKey } = options;
    this.#context = context;
    this.graceMs = options.graceMs ?? defaultGraceMs;
    this.#api = new TradingApi({
      url: options.restUrl,
      keyId,
      secretKey,
      requestsPerMinute: options.requestsPerMinute,
      logger: context.logger,
      ...(options.answerMs === undefined ? {} : { answerMs: options.answerMs }),
    });
    this.#updates = openTradeUpdates({
      url: options.updatesUrl,
      keyId,
      secretKey,
      context,
      listener: {
        onOrder: (order) => this.#seen(order),
        onMissed: (since) => void this.#catchUp(since),
      },
    });
    this.#repeating = setInterval(() => {
      for (const fill of this.#unclaimed.values()) this.#onFill(fill);
    }, options.repeatMs ?? defaultRepeatMs);
  }

  prepare(command: ExecuteTrade): PreparedOrder {
    const order = orderOf(command);
    const body = orderBody(command);
    let isSubmitted = false;
    return {
      reference: { client_order_id: body.client_order_id },
      symbols: [order.symbol],
      notional: notionalOf(order),
      submit: (mayStillSend) => {
        if (isSubmitted) throw new Error(`command ${command.command_id} was submitted a second time`);
        isSubmitted = true;
        return this.#submit(body, fromInstant(command.deadline), mayStillSend);
      },
    };
  }

  async #submit(body: OrderBody, deadline: number, mayStillSend: MayStillSend): Promise<Submission> {
    const id = body.client_order_id;
    // Registered before sending: the update may come before the answer.
    this.#watchOf(id);
    const { order, ...submission } = await this.#api.place(body, deadline, mayStillSend);
    if (order !== undefined) this.#seen(order);
    if (submission.outcome === "rejected" || submission.outcome === "not_sent") this.#watches.delete(id);
    return submission;
  }

  async settle(
    command: ExecuteTrade,
    _reference: VenueReference,
    missed: boolean,
    signal: AbortSignal,
  ): Promise<Settlement> {
    const id = command.command_id;
    const deadline = fromInstant(command.deadline);
    const decided = deadline + this.graceMs;
    const watch = this.#watchOf(id);
    watch.settling(true);
    if (missed) watch.ask();
    else watch.askLater(Date.now(), this.#isUrgent(watch));
    const cancelBackoff = new Backoff(cancelPauses);
    let cancelAt = 0;
    const wake = (): void => watch.wake();
    signal.addEventListener("abort", wake);
    try {
      for (;;) {
        signal.throwIfAborted();
        const { order } = watch;
        const settlement = order && settlementOf(order, watch.cancelCause);
        if (settlement !== undefined) return settlement;
        const now = Date.now();
        if (order !== undefined && now >= deadline) watch.cancelCause ??= deadlineCause;
        if (now >= watch.askAt || (order === undefined && now >= decided)) {
          const found = await this.#api.orderByClientId(id, signal);
          if (found !== undefined) this.#seen(found);
          // Only a question that was asked late enough tells; and news may have come meanwhile.
          else if (now >= decided && watch.order === undefined) return notFound(command);
          watch.askLater(Date.now(), this.#isUrgent(watch));
        } else if (order !== undefined && watch.cancelCause !== undefined && now >= cancelAt) {
          const isTaken = await this.#api.cancel(order.id, signal);
          cancelAt = Date.now() + cancelBackoff.next();
          // Refused: it may have ended, and the news are on the way or lost.
          if (isTaken) watch.askSoon(Date.now());
          else watch.ask();
        } else {
          const next = order === undefined ? decided : watch.cancelCause === undefined ? deadline : cancelAt;
          await watch.wait(Math.min(watch.askAt, next) - now);
        }
      }
    } finally {
      signal.removeEventListener("abort", wake);
      watch.settling(false);
      this.#watches.delete(id);
    }
  }

  async cancel(command: ExecuteTrade): Promise<void> {
    const watch = this.#watches.get(command.command_id);
    if (watch !== undefined) watch.cancelCause ??= requestCause;
    if (watch !== undefined && (watch.isSettling || watch.order === undefined)) {
      // Its end is waited for, or will be when it has been sent: there the cancellation is repeated until it has an effect.
      watch.wake();
      return;
    }
    const signal = AbortSignal.any([this.#closed.signal, AbortSignal.timeout(reportMs)]);
    try {
      const order = watch?.order ?? (await this.#api.orderByClientId(command.command_id, signal));
      if (order !== undefined && !isEnded(order)) await this.#api.cancel(order.id, signal);
    } catch (error) {
      this.#context.logger.warn({ err: error, command_id: command.command_id }, "could not cancel");
    }
  }

  async standing(
    command: ExecuteTrade,
    _reference: VenueReference,
    signal: AbortSignal,
  ): Promise<OrderStanding | undefined> {
    const order = await this.#api.orderByClientId(
      command.command_id,
      AbortSignal.any([this.#closed.signal, signal]),
    );
    if (order === undefined) return undefined;
    this.#seen(order);
    return { filled: filledOf(order), isResting: !isEnded(order) };
  }

  account(): Promise<AccountSnapshot> {
    return this.#api.account(AbortSignal.any([this.#closed.signal, AbortSignal.timeout(reportMs)]));
  }

  clock(): Promise<MarketClock> {
    return this.#api.clock(AbortSignal.any([this.#closed.signal, AbortSignal.timeout(reportMs)]));
  }

  /** The amounts are those of the order so far, not of the single fill: each report includes the ones before. */
  onFill(listener: (fill: ReportedFill) => void): void {
    this.#onFill = listener;
  }

  async close(): Promise<void> {
    this.#closed.abort();
    clearInterval(this.#repeating);
    await this.#updates.close();
    this.#api.close();
  }

  #watchOf(id: string): OrderWatch {
    const watch = this.#watches.get(id) ?? new OrderWatch();
    this.#watches.set(id, watch);
    return watch;
  }

  /** Whether an order is to be asked for often: nothing will be told of it, or it should have ended. */
  #isUrgent(watch: OrderWatch): boolean {
    return (
      watch.order === undefined || watch.cancelCause !== undefined || this.#updates.session === undefined
    );
  }

  /** The venue shows an order, in an update, an answer or a list. */
  #seen(order: VenueOrder): void {
    const id = order.client_order_id;
    const filled = filledOf(order);
    if (
      filled.kind === "order" &&
      filled.average_price !== undefined &&
      this.#isNewFill(id, filled.quantity)
    ) {
      const fill = { orderId: id, filled, reference: { client_order_id: id, order_id: order.id } };
      if (!this.#watches.has(id)) remember(this.#unclaimed, id, fill, repeatedFills);
      this.#onFill(fill);
    }
    this.#watches.get(id)?.seen(order);
  }

  /** Whether more of an order is filled than was reported; updates come twice, and late. */
  #isNewFill(id: string, quantity: string): boolean {
    if (compare(quantity, this.#reported.get(id) ?? "0") <= 0) return false;
    remember(this.#reported, id, quantity, rememberedFills);
    return true;
  }

  /** Updates since then may have been missed. One look at a time, which covers all that was missed before it. */
  async #catchUp(since: number): Promise<void> {
    this.#missedSince = Math.min(this.#missedSince, since);
    if (this.#isCatchingUp) return;
    this.#isCatchingUp = true;
    try {
      while (this.#missedSince < Infinity && !this.#closed.signal.aborted) {
        const from = this.#missedSince;
        this.#missedSince = Infinity;
        await this.#lookBack(from);
      }
    } finally {
      this.#isCatchingUp = false;
    }
  }

  /** One list tells of most orders, the others are asked for one by one. */
  async #lookBack(since: number): Promise<void> {
    const open = [...this.#watches.values()];
    const listed = new Set<OrderWatch | undefined>();
    try {
      for (const order of await this.#api.ordersAfter(since - lookBackMs, "all", this.#closed.signal)) {
        listed.add(this.#watches.get(order.client_order_id));
        this.#seen(order);
      }
    } catch (error) {
      if (this.#closed.signal.aborted) return;
      this.#context.logger.warn({ err: error }, "the orders were not listed: each is asked for");
    }
    for (const watch of open) if (!listed.has(watch)) watch.ask();
  }
}

/** Puts an entry in as the newest one and the oldest out, when there are more than `limit`. */
function remember<Value>(entries: Map<string, Value>, id: string, value: Value, limit: number): void {
  entries.delete(id);
  entries.set(id, value);
  if (entries.size <= limit) return;
  const [oldest] = entries.keys();
  if (oldest !== undefined) entries.delete(oldest);
}

function notFound(command: ExecuteTrade): Settlement {
  return {
    status: "EXPIRED",
    reason: {
      code: "not_found",
      message: "the venue does not know the order, and it could not arrive any more",
    },
    filled: nothingFilled(command),
    reference: {},
  };
}

/** Environment of the venue's executing side. */
export const alpacaExecutionVariables = {
  ALPACA_REST_URL: url("http", "https"),
  ALPACA_UPDATES_URL: url("ws", "wss"),
  ALPACA_KEY_ID: text,
  ALPACA_SECRET_KEY: text,
  ALPACA_REQUESTS_PER_MINUTE: integer(1, 1_000_000).default(200),
};

/** Those of {@link alpacaExecutionVariables} that must never be logged. */
export const alpacaExecutionSecrets = ["ALPACA_KEY_ID", "ALPACA_SECRET_KEY"] as const;

/** Opens the venue from its environment. */
export function openAlpacaVenue(
  context: AlpacaVenueOptions["context"],
  config: z.output<z.ZodObject<typeof alpacaExecutionVariables>>,
): AlpacaVenue {
  return new AlpacaVenue({
    restUrl: config.ALPACA_REST_URL,
    updatesUrl: config.ALPACA_UPDATES_URL,
    keyId: config.ALPACA_KEY_ID,
    secretKey: config.ALPACA_SECRET_KEY,
    requestsPerMinute: config.ALPACA_REQUESTS_PER_MINUTE,
    context,
  });
}
