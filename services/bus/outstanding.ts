/** Work that has begun and is not finished, by partition: how much there is, and its completion in order. */

/** See the module's description. */
export class Outstanding {
  #records = 0;
  readonly #tails = new Map<string, Promise<void>>();
  #waiters: (() => void)[] = [];

  /** Records that were handed over and whose partition is not finished up to them. */
  get records(): number {
    return this.#records;
  }

  /**
   * Adds work.
   * @param partition work of one partition finishes in the order it was added.
   * @param records how many records it is.
   * @param work resolves when the effect is safe.
   * @param finished called when this work, and all before it in the partition, is done.
   * @returns a promise that rejects when this work or work before it failed; `finished` is not called then.
   */
  add(partition: string, records: number, work: Promise<void>, finished: () => void): Promise<void> {
    this.#records += records;
    const before = this.#tails.get(partition) ?? Promise.resolve();
    const tail = Promise.all([before, work])
      .then(finished)
      .finally(() => {
        this.#records -= records;
        if (this.#tails.get(partition) === tail) this.#tails.delete(partition);
        for (const resolve of this.#waiters.splice(0)) resolve();
      });
    this.#tails.set(partition, tail);
    return tail;
  }

  /** Resolves when some work has finished, or after `ms`. */
  change(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#waiters.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  /** Resolves when no work is left, finished or failed. */
  async none(): Promise<void> {
    while (this.#tails.size > 0) await Promise.allSettled(this.#tails.values());
  }
}
