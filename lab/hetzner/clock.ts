/** The simulator's time. */

export interface ClockArguments {
  /** Simulated seconds in a real one, above 0. Default: 1. */
  speed?: number | undefined;
  /** The simulated time at the start. Default: now. */
  start?: Date | undefined;
}

/**
 * Runs evenly, `speed` times as fast as real time, and can be moved ahead. Everything in the simulator is dated by it:
 * actions, prices, the rate limit. So an hour of a model passes in seconds, and a bill of days in none.
 */
export class SimulatedClock {
  readonly speed: number;
  readonly #startedAt = performance.now();
  /** Simulated ms since the epoch at the start, and what was skipped since. */
  #origin: number;

  /** @throws RangeError when `speed` is not above 0 */
  constructor({ speed = 1, start = new Date() }: ClockArguments = {}) {
    if (!(speed > 0 && Number.isFinite(speed)))
      throw new RangeError(`speed is ${speed}; it must be a number above 0`);
    this.speed = speed;
    this.#origin = start.getTime();
  }

  /** Simulated ms since the epoch, with fractions; never goes back. */
  now(): number {
    return this.#origin + (performance.now() - this.#startedAt) * this.speed;
  }

  date(): Date {
    return new Date(this.now());
  }

  /**
   * Moves the time ahead.
   * @param milliseconds simulated, at least 0
   * @throws RangeError when it is negative or no number
   */
  advance(milliseconds: number): void {
    if (!(milliseconds >= 0 && Number.isFinite(milliseconds))) {
      throw new RangeError(`the clock can be moved ahead by 0 ms or more, not by ${milliseconds}`);
    }
    this.#origin += milliseconds;
  }
}
