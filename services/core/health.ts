/**
 * Health is progress, not a live socket: each loop of a service reports that it moved on, and a loop that
 * has not done so for longer than it promised makes the service unhealthy, whatever its connections say.
 */

/** One loop's way to report progress. */
export interface ProgressWatch {
  /** The loop moved on: it handled something, or looked and found nothing to do. */
  progress(): void;
  /** The loop ended on purpose and is no longer watched. */
  end(): void;
}

interface Watched {
  maximumSilenceMs: number;
  last: number;
}

/** The state that /healthz and /readyz show. */
export class Health {
  readonly #watches = new Map<string, Watched>();
  readonly #now: () => number;
  #ready = false;

  /** @param now clock in milliseconds; only differences count. Default: monotonic. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /**
   * Begins to watch a loop.
   * @param name appears in /healthz when the loop is late.
   * @param maximumSilenceMs longest time between two reports, in milliseconds.
   */
  watch(name: string, maximumSilenceMs: number): ProgressWatch {
    const watched = { maximumSilenceMs, last: this.#now() };
    this.#watches.set(name, watched);
    return {
      progress: () => {
        watched.last = this.#now();
      },
      end: () => {
        this.#watches.delete(name);
      },
    };
  }

  /** Says that the service has started and takes work (or, with false, that it no longer does). */
  setReady(ready: boolean): void {
    this.#ready = ready;
  }

  get ready(): boolean {
    return this.#ready && this.late().length === 0;
  }

  /** The loops that have been silent for too long, with how long, for example `consumer norm.swap_demand: 65 s`. */
  late(): string[] {
    const now = this.#now();
    return [...this.#watches]
      .filter(([, watched]) => now - watched.last > watched.maximumSilenceMs)
      .map(([name, watched]) => `${name}: no progress for ${Math.round((now - watched.last) / 1000)} s`);
  }
}
