/** Lets code wait until the simulated world is in a state, without looking at it again and again. */
export class Changes {
  readonly #waiting = new Set<() => void>();
  #ended = false;

  /** Something changed: everyone who waits looks again. */
  notify(): void {
    for (const look of [...this.#waiting]) look();
  }

  /** Nothing will change any more: every wait ends with false. */
  end(): void {
    this.#ended = true;
    this.notify();
  }

  /**
   * Waits until `condition` holds.
   * @param deadlineMs milliseconds from now
   * @param signal ends the wait early
   * @returns false when the deadline passed, the signal came or the world ended first
   */
  until(condition: () => boolean, deadlineMs: number, signal?: AbortSignal): Promise<boolean> {
    return new Promise((resolve) => {
      const finish = (held: boolean) => {
        this.#waiting.delete(look);
        clearTimeout(timer);
        signal?.removeEventListener("abort", look);
        resolve(held);
      };
      const look = () => {
        if (this.#ended || signal?.aborted === true) finish(false);
        else if (condition()) finish(true);
      };
      const timer = setTimeout(() => finish(condition()), deadlineMs);
      this.#waiting.add(look);
      signal?.addEventListener("abort", look);
      look();
    });
  }

  /** Waits a fixed time. @returns false when the signal came or the world ended first. */
  async pause(milliseconds: number, signal?: AbortSignal): Promise<boolean> {
    const started = performance.now();
    await this.until(() => false, milliseconds, signal);
    return !this.#ended && signal?.aborted !== true && performance.now() - started >= milliseconds - 2;
  }
}
