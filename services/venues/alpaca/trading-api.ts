/**
 * Alpaca's trading API, as the executor needs it. Orders are sent once and never again; questions are asked until the
 * venue answers. All share the account's budget of requests. Facts: Alpaca's documentation of the Trading API.
 */
import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";
import { Backoff, type BackoffLimits } from "../../core/backoff.ts";
import type { MarketClock, MayStillSend, Submission } from "../../core/execution-venue.ts";
import type { Logger } from "../../core/log.ts";
import type { AccountSnapshot } from "../../core/trading.ts";
import { ExactNumber, parseExact } from "./exact-json.ts";
import { refusalCode, venueDecimal, venueOrder, type OrderBody, type VenueOrder } from "./orders.ts";
import { RequestBudget, type RequestKind } from "./request-budget.ts";
import { RestClient, type RestRequest, type RestResult } from "../../core/rest-call.ts";

/** Arguments of {@link TradingApi}. */
export interface TradingApiOptions {
  /** Without `/v2`, for example `https://paper-api.alpaca.markets`. */
  url: string;
  keyId: string;
  secretKey: string;
  /** The account's budget. */
  requestsPerMinute: number;
  logger: Logger;
  /** Longest wait for an answer, in milliseconds. Default 5,000. */
  answerMs?: number;
  /** Pauses between repetitions of a question. Default 250 ms to 10 s. */
  backoff?: BackoffLimits;
}

/** What came of placing an order; `order` as the venue showed it, when it was accepted. */
export type Placement = Submission & { order?: VenueOrder };

/** Alpaca's error: a number and its words. */
const errorBody = z.object({
  code: z
    .unknown()
    .transform((value) => (value instanceof ExactNumber ? value.text : undefined))
    .optional(),
  message: z.string(),
});

/** The code of "order not found", as opposed to a path that does not exist. */
const notFoundCode = "40410000";

/** The code of a `client_order_id` that was used before; also that of other mistakes in a request. */
const duplicateCode = "40010001";

/**
 * Answers by which the venue certainly refused an order. Not among them: 408 and 429, which something before the
 * venue may have said, redirects and 5xx.
 */
const refusingStatuses = new Set([400, 401, 403, 404, 405, 413, 415, 422]);

/** Times that {@link TradingApi.account} and the like try before they fail. */
const attemptsOfReports = 4;

/** Longest list that the venue gives at once. */
const pageSize = 500;

const account = z.object({ cash: venueDecimal });
const positions = z.array(z.object({ symbol: z.string().min(1), qty: venueDecimal }));
const orders = z.array(venueOrder);
const clock = z.object({ timestamp: z.string(), is_open: z.boolean() });

/** The trading API does not say what was asked for. */
export class TradingApiError extends Error {
  constructor(what: string, found: string) {
    super(
      `Alpaca's trading API did not answer ${what}: ${found}. ` +
        "Check ALPACA_REST_URL, ALPACA_KEY_ID and ALPACA_SECRET_KEY, and the venue's status page.",
    );
    this.name = "TradingApiError";
  }
}

/** See the module's description. */
export class TradingApi {
  readonly #logger: Logger;
  readonly #backoff: BackoffLimits;
  readonly #budget: RequestBudget;
  readonly #client: RestClient;

  constructor(options: TradingApiOptions) {
    this.#logger = options.logger;
    this.#backoff = options.backoff ?? { first: 250, longest: 10_000 };
    this.#budget = new RequestBudget({ perMinute: options.requestsPerMinute });
    this.#client = new RestClient({
      url: options.url.replace(/\/+$/, ""),
      headers: { "APCA-API-KEY-ID": options.keyId, "APCA-API-SECRET-KEY": options.secretKey },
      parse: parseExact,
      ...(options.answerMs === undefined ? {} : { answerMs: options.answerMs }),
    });
  }

  /**
   * Sends an order, once. Never throws for what the venue or the network does.
   * @param before milliseconds since the epoch: from then on it is not sent any more.
   * @param mayStillSend asked when the budget has granted the order, and again when its connection stands.
   */
  async place(body: OrderBody, before: number, mayStillSend: MayStillSend): Promise<Placement> {
    if (!(await this.#budget.take("order", before - Date.now()))) {
      return {
        outcome: "not_sent",
        reason: { code: "rate_limited", message: "the budget of requests allows none before the deadline" },
      };
    }
    const reason = mayStillSend();
    if (reason !== undefined) {
      this.#budget.unused("order");
      return { outcome: "not_sent", reason };
    }
    const request = { method: "POST", path: "/v2/orders", body, before, mayStillSend } as const;
    const result = await this.#call("order", request);
    switch (result.kind) {
      case "not_sent":
        return { outcome: "not_sent", reason: { code: result.code, message: result.message } };
      case "unanswered":
        return { outcome: "unknown", reason: { code: "no_answer", message: result.message } };
      case "answered":
        return placementOf(body, result);
    }
  }

  /**
   * Asks for an order until the venue answers.
   * @returns undefined when the venue has no order of that id now.
   * @throws (rejects) when `signal` is aborted.
   */
  async orderByClientId(clientOrderId: string, signal: AbortSignal): Promise<VenueOrder | undefined> {
    const path = `/v2/orders:by_client_order_id?client_order_id=${encodeURIComponent(clientOrderId)}`;
    // "Not there" must not overtake the order itself.
    const request = { path, ownConnection: true };
    return this.#attempt("for an order", request, signal, Infinity, (result) => {
      if (result.status === 404 && errorOf(result.body)?.code === notFoundCode) return { value: undefined };
      const order = result.status === 200 ? venueOrder.safeParse(result.body).data : undefined;
      return order?.client_order_id === clientOrderId ? { value: order } : undefined;
    });
  }

  /**
   * Asks for the cancellation of an order, once.
   * @param id Alpaca's own id.
   * @returns whether the venue took the request; otherwise the order may have ended, or the request was lost.
   */
  async cancel(id: string, signal: AbortSignal): Promise<boolean> {
    if (!(await this.#budget.take("order", 60_000))) return false;
    const path = `/v2/orders/${encodeURIComponent(id)}`;
    const result = await this.#call("order", { method: "DELETE", path, signal });
    if (result.kind === "answered" && result.status >= 200 && result.status < 300) return true;
    this.#logger.info({ order_id: id, found: describe(result) }, "a cancellation was not taken");
    return false;
  }

  /**
   * The orders that were submitted after an instant, oldest first, whatever became of them.
   * @param after milliseconds since the epoch.
   * @throws TradingApiError when the venue does not answer.
   */
  async ordersAfter(after: number, status: "open" | "all", signal: AbortSignal): Promise<VenueOrder[]> {
    const found = new Map<string, VenueOrder>();
    for (let from = after; ;) {
      const query = new URLSearchParams({
        status,
        limit: String(pageSize),
        direction: "asc",
        after: new Date(from).toISOString(),
      });
      const page = await this.#report("for its orders", `/v2/orders?${query.toString()}`, orders, signal);
      const known = found.size;
      for (const order of page) found.set(order.id, order);
      const last = Date.parse(page.at(-1)?.submitted_at ?? "");
      if (page.length < pageSize || found.size === known || Number.isNaN(last)) return [...found.values()];
      // `after` leaves out its own instant: others of the last millisecond must not be lost.
      from = last - 1;
    }
  }

  /** What the account holds. @throws TradingApiError when the venue does not answer. */
  async account(signal: AbortSignal): Promise<AccountSnapshot> {
    const [{ cash }, held, open] = await Promise.all([
      this.#report("for the account", "/v2/account", account, signal),
      this.#report("for its positions", "/v2/positions", positions, signal),
      this.ordersAfter(0, "open", signal),
    ]);
    return {
      cash,
      positions: held.map(({ symbol, qty }) => ({ symbol, quantity: qty })),
      open_orders: open.map(({ client_order_id, symbol, side }) => ({
        client_order_id,
        symbol,
        side: side === "buy" ? "buy" : "sell",
      })),
    };
  }

  /** The venue's clock and market hours. @throws TradingApiError when the venue does not answer. */
  async clock(signal: AbortSignal): Promise<MarketClock> {
    return this.#attempt(
      "for its clock",
      { path: "/v2/clock" },
      signal,
      attemptsOfReports,
      (result, tookMs) => {
        const { data } = clock.safeParse(result.body);
        const at = instantOf(data?.timestamp ?? "");
        if (result.status !== 200 || data === undefined || at === undefined) return undefined;
        // It was read at some moment of the call: half of it is the best guess for the way back.
        return { value: { now: at + tookMs / 2, isOpen: data.is_open } };
      },
    );
  }

  /** Ends the connections; who waits for the budget is refused. */
  close(): void {
    this.#budget.close();
    this.#client.close();
  }

  #report<Value>(what: string, path: string, schema: z.ZodType<Value>, signal: AbortSignal): Promise<Value> {
    return this.#attempt(what, { path }, signal, attemptsOfReports, ({ status, body }) => {
      const read = status === 200 ? schema.safeParse(body) : undefined;
      return read?.success === true ? { value: read.data } : undefined;
    });
  }

  /** Asks until `read` understands an answer. @throws TradingApiError after `attempts`; the signal's reason. */
  async #attempt<Value>(
    what: string,
    question: Pick<RestRequest, "path" | "ownConnection">,
    signal: AbortSignal,
    attempts: number,
    read: (result: RestResult & { kind: "answered" }, tookMs: number) => { value: Value } | undefined,
  ): Promise<Value> {
    const backoff = new Backoff(this.#backoff);
    for (let attempt = 1; ; attempt += 1) {
      signal.throwIfAborted();
      // Without room in the budget the question waits for it, however long that takes.
      if (!(await this.#budget.take("question", 60_000))) {
        await delay(backoff.next(), undefined, { signal });
        continue;
      }
      const begun = performance.now();
      const result = await this.#call("question", { method: "GET", ...question, signal });
      signal.throwIfAborted();
      const answer = result.kind === "answered" ? read(result, performance.now() - begun) : undefined;
      if (answer !== undefined) return answer.value;
      const found = describe(result);
      if (attempt >= attempts) throw new TradingApiError(what, found);
      this.#logger.warn({ path: question.path, found, attempt }, "a question was not answered, asking again");
      await delay(backoff.next(), undefined, { signal });
    }
  }

  async #call(kind: RequestKind, request: RestRequest): Promise<RestResult> {
    const result = await this.#client.call(request);
    if (result.kind === "not_sent") this.#budget.unused(kind);
    else this.#budget.answered(result.kind === "answered" ? result : undefined);
    return result;
  }
}

function placementOf(body: OrderBody, result: RestResult & { kind: "answered" }): Placement {
  const { status } = result;
  if (status >= 200 && status < 300) {
    const order = venueOrder.safeParse(result.body).data;
    return order?.client_order_id === body.client_order_id
      ? { outcome: "accepted", order }
      : { outcome: "unknown", reason: { code: "unexpected_answer", message: describe(result) } };
  }
  const error = errorOf(result.body);
  const message = describe(result);
  // An order of this id exists: this one or, after something repeated the request, its twin. Only asking tells.
  const isDuplicate =
    error?.code === duplicateCode && /client.?order.?id|unique|duplicate/i.test(error.message);
  if (isDuplicate) return { outcome: "unknown", reason: { code: "duplicate_client_order_id", message } };
  if (refusingStatuses.has(status)) {
    return { outcome: "rejected", reason: { code: refusalCode(status, error?.message ?? ""), message } };
  }
  return { outcome: "unknown", reason: { code: status === 429 ? "rate_limited" : "venue_error", message } };
}

function errorOf(body: unknown): { code?: string | undefined; message: string } | undefined {
  return errorBody.safeParse(body).data;
}

/** What came, in one line; with the id by which Alpaca's support finds the request. */
function describe(result: RestResult): string {
  if (result.kind !== "answered") return result.message;
  const error = errorOf(result.body);
  const words = error === undefined ? "" : ` ${error.code ?? ""} ${error.message.slice(0, 300)}`;
  const requestId = result.headers["x-request-id"];
  return `HTTP ${result.status}${words}${typeof requestId === "string" ? ` (request ${requestId})` : ""}`;
}

/** An RFC 3339 time with any offset, in milliseconds; one without a fraction is taken to be in its second's middle. */
function instantOf(text: string): number | undefined {
  const [, whole, fraction, offset] =
    /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)$/.exec(text) ?? [];
  const seconds = Date.parse(`${whole}${offset}`);
  if (Number.isNaN(seconds)) return undefined;
  return seconds + (fraction === undefined ? 500 : Number(`0.${fraction}`) * 1_000);
}
