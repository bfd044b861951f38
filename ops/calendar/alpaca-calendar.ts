/**
 * The exchange's calendar as Alpaca tells it: `GET /v2/calendar` of the trading API
 * (https://docs.alpaca.markets/reference/getcalendar-1), which knows early closes and what was decided at short notice.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import type { SessionSource, SessionTimes } from "./session-source.ts";
import { zonedInstant } from "./zoned-time.ts";

/** How long is waited for an answer. */
export interface CalendarPatience {
  /** For one answer, in milliseconds. */
  requestTimeoutMs: number;
  /** No attempt begins later than so many milliseconds after the first. */
  retryDeadlineMs: number;
  /** Before the second attempt, in milliseconds; doubles each time. */
  firstDelayMs: number;
}

/** Arguments of {@link AlpacaCalendar}. */
export interface AlpacaCalendarArguments {
  /** Trading API without `/v2`, for example `https://paper-api.alpaca.markets`. */
  endpoint: string;
  keyId: string;
  secretKey: string;
  signal?: AbortSignal | undefined;
  /** What differs from 4 s an answer, 10 s in all and 0.5 s before the second attempt. */
  patience?: Partial<CalendarPatience> | undefined;
}

/** Alpaca did not tell its calendar. */
export class AlpacaCalendarError extends Error {
  override readonly name = "AlpacaCalendarError";

  constructor(endpoint: string, reason: string, options?: ErrorOptions) {
    super(`${endpoint}/v2/calendar: ${reason}`, options);
  }
}

/** Somebody waits for the command's first word, and there are rules to fall back on. */
const defaultPatience: CalendarPatience = {
  requestTimeoutMs: 4_000,
  retryDeadlineMs: 10_000,
  firstDelayMs: 500,
};

const exchangeZone = "America/New_York";
const usualClose = "16:00";

const time = z.string().regex(/^([01]\d|2[0-3]):[0-5]\d$/);
/** Hours outside regular ones and settlement are in the answer, too; nobody here needs them. */
const answerSchema = z.array(
  z
    .object({ date: z.iso.date(), open: time, close: time })
    .refine(({ open, close }) => open < close, { error: "it closes before it opens" }),
);

/** One failed attempt. */
interface Failure {
  reason: string;
  passesByItself: boolean;
  cause?: unknown;
}

/** See the module's description. */
export class AlpacaCalendar implements SessionSource {
  readonly name: string;
  readonly #args: AlpacaCalendarArguments;
  readonly #endpoint: string;
  readonly #patience: CalendarPatience;

  constructor(args: AlpacaCalendarArguments) {
    this.#args = args;
    this.#endpoint = args.endpoint.replace(/\/+$/, "");
    this.name = `Alpaca (${this.#endpoint})`;
    this.#patience = { ...defaultPatience, ...args.patience };
  }

  /** @throws AlpacaCalendarError when it cannot be had in time, is refused or is not what the API promises */
  async sessions(first: string, last: string): Promise<ReadonlyMap<string, SessionTimes>> {
    const { signal } = this.#args;
    const until = performance.now() + this.#patience.retryDeadlineMs;
    for (let attempt = 1; ; attempt += 1) {
      const answer = await this.#ask(first, last);
      if (answer instanceof Map) return answer;
      const delay = this.#patience.firstDelayMs * 2 ** (attempt - 1);
      if (!answer.passesByItself || performance.now() + delay > until) {
        const tried = attempt === 1 ? "" : ` (${attempt} attempts)`;
        throw new AlpacaCalendarError(this.#endpoint, answer.reason + tried, { cause: answer.cause });
      }
      await sleep(delay, undefined, { signal }).catch(() => signal?.throwIfAborted());
    }
  }

  async #ask(first: string, last: string): Promise<Map<string, SessionTimes> | Failure> {
    const { keyId, secretKey, signal } = this.#args;
    const timeout = AbortSignal.timeout(this.#patience.requestTimeoutMs);
    let response: Response;
    let body: unknown;
    try {
      response = await fetch(`${this.#endpoint}/v2/calendar?start=${first}&end=${last}`, {
        redirect: "error",
        headers: { "APCA-API-KEY-ID": keyId, "APCA-API-SECRET-KEY": secretKey },
        signal: signal === undefined ? timeout : AbortSignal.any([signal, timeout]),
      });
      const text = await response.text();
      body = response.ok ? JSON.parse(text) : undefined;
    } catch (error) {
      signal?.throwIfAborted();
      return { reason: reasonOf(error), passesByItself: true, cause: error };
    }
    const { status } = response;
    if (!response.ok) {
      const reason = `HTTP ${status}${status === 401 || status === 403 ? ": the key is not accepted there" : ""}`;
      return { reason, passesByItself: status === 429 || status >= 500 };
    }
    const read = answerSchema.safeParse(body);
    if (!read.success) {
      const mistakes = read.error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`);
      return { reason: `an answer of another form: ${mistakes.join("; ")}`, passesByItself: false };
    }
    const inSpan = read.data.filter(({ date }) => first <= date && date <= last);
    return new Map(
      inSpan.map(({ date, open, close }) => [
        date,
        {
          open: zonedInstant(date, open, exchangeZone),
          close: zonedInstant(date, close, exchangeZone),
          closesEarly: close < usualClose,
        },
      ]),
    );
  }
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === "TimeoutError") return "no answer in time";
  const { cause } = error;
  return cause instanceof Error ? `${error.message}: ${cause.message}` : error.message;
}
