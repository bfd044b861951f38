/** One HTTP request to a receiver, repeated for a bounded time while what refuses it passes by itself. It never throws. */
import { setTimeout as sleep } from "node:timers/promises";

/** All in ms. */
export interface DeliveryPatience {
  /** For one answer. Default: 10,000. */
  requestTimeoutMs: number;
  /** Before the first repetition; each later wait is twice as long. Default: 1,000. */
  firstDelayMs: number;
  /** The longest wait that this side chooses; a receiver's Retry-After may be longer. Default: 15,000. */
  maxDelayMs: number;
  /** From the first attempt until it is given up. Default: 60,000. */
  deadlineMs: number;
  /** For the one attempt that is made after the command was interrupted. Default: 3,000. */
  interruptedMs: number;
}

const defaultPatience: DeliveryPatience = {
  requestTimeoutMs: 10_000,
  firstDelayMs: 1_000,
  maxDelayMs: 15_000,
  deadlineMs: 60_000,
  interruptedMs: 3_000,
};

/** How it ended. */
export interface Delivery {
  delivered: boolean;
  /** Last answer's HTTP status; 0 when there was none. */
  status: number;
  attempts: number;
  /** For people, never with the address; empty when it was delivered. */
  problem: string;
}

export interface DeliveryRequest {
  /** Never shown. */
  url: URL;
  /** Posted as JSON; without it the request is a GET. */
  body?: object;
  patience?: Partial<DeliveryPatience> | undefined;
  /** Ends repetitions; what is delivered after it gets one short attempt, so that an interruption is told, too. */
  signal: AbortSignal;
}

/** Delivers, or says why not. */
export async function deliver({ url, body, patience, signal }: DeliveryRequest): Promise<Delivery> {
  const given = { ...defaultPatience, ...patience };
  const { firstDelayMs, maxDelayMs, interruptedMs } = given;
  const until = performance.now() + (signal.aborted ? interruptedMs : given.deadlineMs);
  let before = { status: 0, problem: "" };
  for (let attempts = 1; ; attempts += 1) {
    const left = Math.max(1, until - performance.now());
    const timeoutMs = Math.ceil(Math.min(left, signal.aborted ? interruptedMs : given.requestTimeoutMs));
    const { retryAfterMs, ...answer } = await attempt(url, body, timeoutMs, signal);
    // What the deadline cut short says less than the answer before it.
    const isCutShort = answer.status === 0 && timeoutMs < given.requestTimeoutMs && !signal.aborted;
    const { status, problem } = isCutShort && before.status > 0 ? before : answer;
    before = { status, problem };
    const delivered = status >= 200 && status < 300;
    const passes = status === 0 || status === 408 || status === 425 || status === 429 || status >= 500;
    if (delivered || !passes || signal.aborted) return { delivered, status, attempts, problem };
    const backOff = Math.min(maxDelayMs, firstDelayMs * 2 ** (attempts - 1)) * (0.5 + Math.random() / 2);
    const pause = Math.max(backOff, retryAfterMs);
    if (performance.now() + pause >= until) return { delivered, status, attempts, problem };
    await sleep(pause, undefined, { signal }).catch(() => undefined);
  }
}

async function attempt(
  url: URL,
  body: object | undefined,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<{ status: number; problem: string; retryAfterMs: number }> {
  const timeout = AbortSignal.timeout(timeoutMs);
  try {
    const response = await fetch(url, {
      ...(body === undefined
        ? { method: "GET" }
        : {
            method: "POST",
            headers: { "content-type": "application/json" },
            body: JSON.stringify(body),
          }),
      // Another host has no business with the address.
      redirect: "manual",
      signal: signal.aborted ? timeout : AbortSignal.any([timeout, signal]),
    });
    // Not shown: receivers repeat in it what was sent, or worse the address.
    await response.body?.cancel().catch(() => undefined);
    return {
      status: response.status,
      problem: response.ok ? "" : `it answers with status ${response.status}`,
      retryAfterMs: retryAfter(response.headers.get("retry-after")),
    };
  } catch (error) {
    return { status: 0, problem: reasonOf(error, timeoutMs, signal), retryAfterMs: 0 };
  }
}

/** Seconds, with decimals at Discord, or a date: https://www.rfc-editor.org/rfc/rfc9110#field.retry-after */
function retryAfter(header: string | null): number {
  if (header === null) return 0;
  const seconds = Number(header);
  const ms = Number.isNaN(seconds) ? Date.parse(header) - Date.now() : seconds * 1_000;
  return Number.isFinite(ms) ? Math.max(0, ms) : 0;
}

/** By the error's code alone: messages of the network name the host. */
function reasonOf(error: unknown, timeoutMs: number, signal: AbortSignal): string {
  if (signal.aborted) return "the command was interrupted";
  const { name, cause } = error as Error;
  if (name === "TimeoutError") return `no answer within ${(timeoutMs / 1_000).toFixed(1)} s`;
  const code = (cause as NodeJS.ErrnoException | undefined)?.code;
  return code === undefined ? "it cannot be reached" : `it cannot be reached (${code})`;
}
