/** The operations that a run has begun and that have not ended. */
export class UnderWay {
  readonly #work = new Set<Promise<unknown>>();

  /** Counts work until it has ended, well or not. @returns the work itself */
  track<T>(work: Promise<T>): Promise<T> {
    this.#work.add(work);
    const done = (): void => void this.#work.delete(work);
    work.then(done, done);
    return work;
  }

  /** Resolves when nothing is under way, what was begun meanwhile included. */
  async settled(): Promise<void> {
    while (this.#work.size > 0) await Promise.allSettled([...this.#work]);
  }
}
