/** Things that a venue does later, unless it is closed before. They keep no process alive. */
export class Timers {
  readonly #timers = new Set<NodeJS.Timeout>();

  /** Does `what` in `ms` milliseconds. */
  after(ms: number, what: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      what();
    }, ms);
    timer.unref();
    this.#timers.add(timer);
  }

  /** Drops what has not been done. */
  close(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
  }
}
