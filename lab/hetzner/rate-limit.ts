/** 3,600 requests an hour and project, given back evenly: https://docs.hetzner.cloud/reference/cloud#rate-limiting */

export const requestsPerHour = 3_600;

export class RateLimit {
  readonly #limit: number;
  readonly #now: () => number;
  #left: number;
  #counted: number;

  /**
   * @param limit requests an hour
   * @param now milliseconds since the epoch: the simulator's time
   */
  constructor(limit = requestsPerHour, now: () => number = Date.now) {
    this.#limit = limit;
    this.#now = now;
    this.#left = limit;
    this.#counted = now();
  }

  /** Counts one request. @returns false when there is none left */
  take(): boolean {
    const now = this.#now();
    this.#left = Math.min(this.#limit, this.#left + ((now - this.#counted) / 3_600_000) * this.#limit);
    this.#counted = now;
    if (this.#left < 1) return false;
    this.#left -= 1;
    return true;
  }

  /** What every answer says of it; `RateLimit-Reset` is the time (epoch seconds) at which all requests are back. */
  headers(): Record<string, string> {
    const missing = this.#limit - this.#left;
    const reset = this.#now() / 1_000 + (missing / this.#limit) * 3_600;
    return {
      "RateLimit-Limit": String(this.#limit),
      "RateLimit-Remaining": String(Math.floor(this.#left)),
      "RateLimit-Reset": String(Math.ceil(reset)),
    };
  }
}
