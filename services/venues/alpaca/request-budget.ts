/**
 * The account's budget of requests a minute (Alpaca: 200 by default, shared by all that use the account). A request
 * is granted only when no span of a minute would hold more than the limit, wherever the venue begins to count, and as
 * far as the venue's `X-Ratelimit-*` headers say that some are left.
 */

/** Orders and cancellations go before questions; questions keep a tenth of the budget, or nothing would be settled. */
export type RequestKind = "order" | "question";

/** Arguments of {@link RequestBudget}. */
export interface RequestBudgetOptions {
  /** Requests a minute, at least 1. */
  perMinute: number;
  /** The span that is counted, in milliseconds. Default 60,000; shorter in tests. */
  windowMs?: number;
}

/** What an answer says about the budget, all optional: HTTP status and headers, names in lower case. */
export interface BudgetNews {
  status: number;
  headers: Readonly<Record<string, string | string[] | undefined>>;
}

interface Waiter {
  kind: RequestKind;
  /** Of `performance.now()`. */
  until: number;
  resolve: (granted: boolean) => void;
}

/** Pause after a refusal that does not say how long, doubled with each further one, in milliseconds. */
const firstPauseMs = 1_000;

/** See the module's description. */
export class RequestBudget {
  readonly #windowMs: number;
  readonly #configured: number;
  #limit: number;
  /** When requests were granted, oldest first. */
  readonly #granted: Record<RequestKind, number[]> = { order: [], question: [] };
  /** Requests whose answer has not come. */
  #open = 0;
  /** What the venue says is left, and until when that holds. */
  #left: { count: number; until: number; reset: number } | undefined;
  #refusedUntil = 0;
  #refusals = 0;
  readonly #waiters: Record<RequestKind, Waiter[]> = { order: [], question: [] };
  #timer: NodeJS.Timeout | undefined;

  constructor(options: RequestBudgetOptions) {
    this.#configured = options.perMinute;
    this.#limit = options.perMinute;
    this.#windowMs = options.windowMs ?? 60_000;
  }

  /**
   * Waits for a request's turn; each granted one must be followed by {@link answered} or {@link unused}.
   * @param withinMs longest wait; nothing is waited for when it cannot be enough.
   * @returns whether it was granted.
   */
  take(kind: RequestKind, withinMs: number): Promise<boolean> {
    const now = performance.now();
    const until = now + withinMs;
    if (this.#waiters[kind].length === 0 && this.#freeAt(kind, now) <= now) {
      this.#grant(kind, now);
      return Promise.resolve(true);
    }
    if (this.#freeAt(kind, now) >= until) return Promise.resolve(false);
    return new Promise((resolve) => {
      this.#waiters[kind].push({ kind, until, resolve });
      this.#pump();
    });
  }

  /** An answer came, or none will: the budget learns what it says. */
  answered(news?: BudgetNews): void {
    this.#open -= 1;
    if (news !== undefined) this.#learn(news);
    this.#pump();
  }

  /** A granted request was not sent. */
  unused(kind: RequestKind): void {
    this.#open -= 1;
    this.#granted[kind].pop();
    this.#pump();
  }

  /** Nobody is served any more: those who wait are told so. */
  close(): void {
    clearTimeout(this.#timer);
    for (const kind of ["order", "question"] as const) {
      for (const { resolve } of this.#waiters[kind].splice(0)) resolve(false);
    }
  }

  #grant(kind: RequestKind, now: number): void {
    this.#granted[kind].push(now);
    this.#open += 1;
    if (this.#left !== undefined) this.#left.count -= 1;
  }

  /** When the next request of a kind may be sent; now or earlier: at once. */
  #freeAt(kind: RequestKind, now: number): number {
    for (const times of Object.values(this.#granted)) {
      let gone = 0;
      while (gone < times.length && (times[gone] as number) + this.#windowMs <= now) gone += 1;
      if (gone > 0) times.splice(0, gone);
    }
    if (this.#left !== undefined && this.#left.until <= now) this.#left = undefined;
    const { order, question } = this.#granted;
    const times: number[] = [this.#refusedUntil];
    if (this.#left !== undefined && this.#left.count <= 0) times.push(this.#left.until);
    if (order.length + question.length >= this.#limit) {
      times.push(Math.min(order[0] ?? Infinity, question[0] ?? Infinity) + this.#windowMs);
    }
    if (kind === "order" && order.length >= this.#limit - Math.floor(this.#limit / 10)) {
      times.push((order[0] as number) + this.#windowMs);
    }
    return Math.max(...times);
  }

  /** Serves those who wait, orders first. */
  #pump(): void {
    clearTimeout(this.#timer);
    const now = performance.now();
    let next = Infinity;
    for (const kind of ["order", "question"] as const) {
      const waiters = this.#waiters[kind];
      for (let at = 0; at < waiters.length;) {
        const waiter = waiters[at] as Waiter;
        const freeAt = this.#freeAt(kind, now);
        if (waiter.until <= now) waiter.resolve(false);
        else if (freeAt <= now) {
          this.#grant(kind, now);
          waiter.resolve(true);
        } else {
          next = Math.min(next, freeAt, waiter.until);
          at += 1;
          continue;
        }
        waiters.splice(at, 1);
      }
    }
    if (next === Infinity) return;
    this.#timer = setTimeout(() => this.#pump(), Math.max(1, Math.min(next - now, this.#windowMs)));
  }

  #learn({ status, headers }: BudgetNews): void {
    const read = (name: string): number | undefined => {
      const text = headers[name];
      return typeof text === "string" && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
    };
    const limit = read("x-ratelimit-limit");
    if (limit !== undefined && limit > 0) this.#limit = Math.min(this.#configured, limit);
    const now = performance.now();
    // A clock of the venue that is off must not stop us for longer than the longest span there is.
    const bounded = (ms: number) => now + Math.min(Math.max(0, ms), this.#windowMs);
    const reset = read("x-ratelimit-reset");
    const remaining = read("x-ratelimit-remaining");
    if (remaining !== undefined && reset !== undefined) {
      // Those that are still under way may not be counted in it yet; answers may overtake each other.
      const count = remaining - this.#open;
      const known = this.#left?.reset === reset ? this.#left.count : count;
      this.#left = { count: Math.min(known, count), until: bounded(reset * 1_000 - Date.now()), reset };
    }
    if (status !== 429) {
      this.#refusals = 0;
      return;
    }
    // Requests that were under way together are refused together: that is one refusal.
    if (now < this.#refusedUntil && this.#refusals > 0) this.#refusals -= 1;
    const retryAfter = read("retry-after");
    const pause = firstPauseMs * 2 ** Math.min(this.#refusals, 10);
    this.#refusals += 1;
    this.#refusedUntil = bounded(
      retryAfter !== undefined
        ? retryAfter * 1_000
        : reset !== undefined
          ? reset * 1_000 - Date.now()
          : pause,
    );
  }
}
