/** What happens when, on the clock of a simulated account. Time passes only here, apart from what work really takes. */

/** The part of the simulator's clock that is needed. */
export interface AgendaClock {
  /** ms since the epoch. */
  now(): number;
  advance(milliseconds: number): void;
}

/**
 * `moment`: happens at its time whatever goes on (something breaks, a sample is taken). `watch`: a job that runs beside
 * others that wait. `job`: begins when no other job goes on, as in a concurrency group.
 */
export type EventKind = "moment" | "watch" | "job";

interface Event {
  at: number;
  order: number;
  kind: EventKind;
  run: () => Promise<void> | void;
}

/** Kinds that may happen while something goes on. */
const during = {
  idle: ["moment", "watch", "job"],
  waiting: ["moment", "watch"],
  working: ["moment"],
} as const satisfies Record<string, readonly EventKind[]>;

/** See the module's description. */
export class Agenda {
  readonly #events: Event[] = [];
  readonly #clock: AgendaClock;
  #order = 0;

  constructor(clock: AgendaClock) {
    this.#clock = clock;
  }

  /** What is due at the same time happens in the order in which it was added; what is past happens next. */
  add(at: Date, kind: EventKind, run: () => Promise<void> | void): void {
    this.#events.push({ at: at.getTime(), order: this.#order++, kind, run });
  }

  /**
   * Lets time pass; what is due meanwhile happens. Ends at `until`, or later when work took longer.
   * @param activity what goes on meanwhile
   * @param signal ends it early
   */
  async pass(until: Date, activity: keyof typeof during, signal?: AbortSignal): Promise<void> {
    const end = until.getTime();
    for (;;) {
      if (signal?.aborted === true) return;
      const event = this.#next(end, during[activity]);
      const rest = (event?.at ?? end) - this.#clock.now();
      if (rest > 0) this.#clock.advance(rest);
      if (event === undefined) return;
      this.#events.splice(this.#events.indexOf(event), 1);
      await event.run();
    }
  }

  #next(end: number, kinds: readonly EventKind[]): Event | undefined {
    let first: Event | undefined;
    for (const event of this.#events) {
      if (event.at > end || !kinds.includes(event.kind)) continue;
      if (first === undefined || event.at < first.at || (event.at === first.at && event.order < first.order))
        first = event;
    }
    return first;
  }
}
