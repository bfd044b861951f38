/**
 * Time that passes only while everything waits. The simulator's clock stands still (its speed is next to nothing) and is
 * moved ahead to the next due moment whenever no thread of this process and of its children has anything to do. So what
 * real machines are slow at (starting a program, HTTP on loopback, writing a state) takes no model time, and a run gives
 * the same model times on a loaded machine. Should the clock ever be moved too early, what was still at work begins its
 * next wait later: an error makes the measured time longer, never shorter.
 */
import type { Hetzner } from "../hetzner/index.ts";
import { QuietWatch } from "./quiet.ts";

/** Simulated seconds in a real one, for a simulator whose time is moved by a {@link ModelClock}. */
export const standingStill = 1e-12;

/** Moves a simulator's clock. */
export class ModelClock {
  readonly #clock: Hetzner["clock"];
  readonly #watch = new QuietWatch();
  readonly #driven: Promise<void>;
  readonly #stuck = new AbortController();
  #stopped = false;
  /** How often the time was moved. */
  steps = 0;

  /** @param clock of a simulator that was started with the speed {@link standingStill} */
  constructor(clock: Hetzner["clock"]) {
    this.#clock = clock;
    this.#driven = this.#drive();
    // Told by stop(); until then whoever waits for the time learns by the signal that it will not pass.
    this.#driven.catch((error: unknown) => this.#stuck.abort(error));
  }

  /** Aborted when the time cannot go on; the reason is what {@link stop} throws. */
  get stuck(): AbortSignal {
    return this.#stuck.signal;
  }

  /** Model milliseconds since the epoch. */
  now(): number {
    return this.#clock.date().getTime();
  }

  async #drive(): Promise<void> {
    while (!this.#stopped) {
      await this.#watch.quiet();
      const due = this.#clock.nextDue();
      if (due === undefined || this.#stopped) continue;
      this.steps += 1;
      this.#clock.advance(Math.max(0, due - this.#clock.now()));
    }
  }

  /**
   * The time stands still from now on.
   * @throws NeverQuietError when it stood still before, because something never came to rest
   */
  async stop(): Promise<void> {
    this.#stopped = true;
    try {
      await this.#driven;
    } finally {
      await this.#watch.close();
    }
  }
}
