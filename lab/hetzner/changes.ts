import { SimulatedClock } from "./clock.ts";

/** Node's timers end at once when they are given more ms than this. */
const longestTimerMs = 2 ** 31 - 1;

/** How a wait ended. */
type Outcome = "held" | "due" | "stopped";

/** Lets code wait until the simulated world is in a state, without looking at it again and again. */
export class Changes {
  readonly #waiting = new Set<() => void>();
  /** When each wait that has an end ends, in simulated ms since the epoch. */
  readonly #dues = new Map<() => void, number>();
  readonly #clock: SimulatedClock;
  #ended = false;

  /** @param clock whose milliseconds deadlines and pauses are given in */
  constructor(clock = new SimulatedClock()) {
    this.#clock = clock;
  }

  /** Something changed, or the clock was moved ahead: everyone who waits looks again. */
  notify(): void {
    for (const look of [...this.#waiting]) look();
  }

  /** Nothing will change any more: every wait ends with false. */
  end(): void {
    this.#ended = true;
    this.notify();
  }

  /** The next moment at which a wait ends by itself, in simulated ms since the epoch; undefined when none does. */
  nextDue(): number | undefined {
    return this.#dues.size === 0 ? undefined : Math.min(...this.#dues.values());
  }

  #wait(condition: () => boolean, deadlineMs: number, signal?: AbortSignal): Promise<Outcome> {
    const due = this.#clock.now() + deadlineMs;
    return new Promise((resolve) => {
      const finish = (outcome: Outcome) => {
        this.#waiting.delete(look);
        this.#dues.delete(look);
        clearTimeout(timer);
        signal?.removeEventListener("abort", look);
        resolve(outcome);
      };
      const look = () => {
        if (this.#ended || signal?.aborted === true) finish("stopped");
        else if (condition()) finish("held");
        else if (this.#clock.now() >= due) finish("due");
      };
      const realMs = deadlineMs / this.#clock.speed;
      // Without a timer only a change, or the clock moved ahead, ends the wait.
      const timer =
        realMs > longestTimerMs
          ? undefined
          : setTimeout(() => finish(condition() ? "held" : "due"), Math.max(0, realMs));
      this.#waiting.add(look);
      if (Number.isFinite(due)) this.#dues.set(look, due);
      signal?.addEventListener("abort", look);
      look();
    });
  }

  /**
   * Waits until `condition` holds.
   * @param deadlineMs simulated milliseconds from now; `Infinity` for none
   * @param signal ends the wait early
   * @returns false when the deadline passed, the signal came or the world ended first
   */
  async until(condition: () => boolean, deadlineMs: number, signal?: AbortSignal): Promise<boolean> {
    return (await this.#wait(condition, deadlineMs, signal)) === "held";
  }

  /** Waits a fixed time, in simulated milliseconds. @returns false when the signal came or the world ended first. */
  async pause(milliseconds: number, signal?: AbortSignal): Promise<boolean> {
    return (await this.#wait(() => false, milliseconds, signal)) === "due";
  }
}
