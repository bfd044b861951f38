/** Requests a minute of one account, and the headers that tell of them. */
export class RateLimit {
  readonly #perMinute: number;
  #minute = 0;
  #used = 0;

  constructor(perMinute: number) {
    this.#perMinute = perMinute;
  }

  /** @returns false when this minute's requests are used up. */
  take(): boolean {
    this.#roll();
    if (this.#used >= this.#perMinute) return false;
    this.#used++;
    return true;
  }

  headers(): Record<string, string> {
    this.#roll();
    return {
      "X-Ratelimit-Limit": String(this.#perMinute),
      "X-Ratelimit-Remaining": String(this.#perMinute - this.#used),
      "X-Ratelimit-Reset": String((this.#minute + 1) * 60),
    };
  }

  #roll(): void {
    const minute = Math.floor(Date.now() / 60_000);
    if (minute !== this.#minute) {
      this.#minute = minute;
      this.#used = 0;
    }
  }
}
