/** Waiting times between attempts: doubling, with jitter, so that many clients do not come back at once. */

/** Bounds of the waiting time, in milliseconds. */
export interface BackoffLimits {
  first: number;
  longest: number;
}

/** Waiting times of a series of attempts. */
export class Backoff {
  readonly #limits: BackoffLimits;
  readonly #random: () => number;
  #failures = 0;

  /** @param random uniform in [0, 1). */
  constructor(limits: BackoffLimits, random: () => number = Math.random) {
    this.#limits = limits;
    this.#random = random;
  }

  /** The time to wait now, in milliseconds: between half and all of `first · 2^failures`, at most `longest`. */
  next(): number {
    const full = Math.min(this.#limits.longest, this.#limits.first * 2 ** Math.min(this.#failures, 30));
    this.#failures += 1;
    return full / 2 + (this.#random() * full) / 2;
  }

  /** An attempt succeeded: the next series begins anew. */
  reset(): void {
    this.#failures = 0;
  }
}
