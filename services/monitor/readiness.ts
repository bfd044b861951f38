/**
 * Is the whole pipeline ready to trade? Canaries tell: one to each partition of each venue's raw topic, and an answer
 * to each from every strategy that reads there. Pure; the clock is an argument.
 */

/** One way through the pipeline: a partition of a venue's topics. */
export interface Path<Venue extends string = string> {
  readonly venue: Venue;
  readonly partition: number;
}

/** Timing of canaries, in milliseconds. */
export interface ReadinessTiming {
  /** Between two rounds, once ready. */
  everyMs: number;
  /** Between two canaries on a path that does not answer. Default 5,000. */
  repeatMs?: number;
  /** How long a later round may stay unanswered before the pipeline is no longer ready. Default 30,000. */
  answerMs?: number;
}

/** What is to be said after {@link Readiness.tick} or {@link Readiness.answered}. */
export type Verdict =
  | { kind: "ready"; canaries: readonly string[] }
  /** The round is not answered in time; `was` tells whether the pipeline had been ready. */
  | { kind: "late"; missing: readonly string[]; was: boolean };

interface PathState<Venue extends string> {
  path: Path<Venue>;
  strategies: readonly string[];
  /** Strategies that have not answered in this round. */
  missing: Set<string>;
  sentAt: number;
}

interface Probe<Venue extends string> {
  state: PathState<Venue>;
  canaryId: string;
  sentAt: number;
  /** Strategies that have not answered this one. */
  missing: Set<string>;
}

/** Stands for the strategies of a venue of which none is known: any one answer is enough. */
const anyStrategy = "*";

/** Unanswered canaries that are remembered; the oldest are forgotten. */
const remembered = 10_000;

/** See the module's description. */
export class Readiness<Venue extends string> {
  readonly #paths: PathState<Venue>[];
  readonly #timing: Required<ReadinessTiming>;
  /** By id of the raw event. */
  readonly #probes = new Map<string, Probe<Venue>>();
  #isReady = false;
  #roundBegan: number;
  #isAnswered = false;
  #toldLateAt = -Infinity;
  #canaries: string[] = [];

  /** @param strategies names of the strategies that answer at a venue; none: any one answer is enough. */
  constructor(
    paths: readonly Path<Venue>[],
    strategies: (venue: Venue) => readonly string[],
    timing: ReadinessTiming,
    now: number,
  ) {
    this.#timing = { repeatMs: 5_000, answerMs: 30_000, ...timing };
    this.#paths = paths.map((path) => {
      const known = strategies(path.venue);
      return {
        path,
        strategies: known.length === 0 ? [anyStrategy] : known,
        missing: new Set(known.length === 0 ? [anyStrategy] : known),
        sentAt: -Infinity,
      };
    });
    this.#roundBegan = now;
  }

  get isReady(): boolean {
    return this.#isReady;
  }

  /** Canaries that have not been answered by everyone. */
  get open(): number {
    return this.#probes.size;
  }

  /** Begins a new round when it is time. @returns the paths that need a canary now, and what is to be said. */
  tick(now: number): { send: Path<Venue>[]; verdict: Verdict | undefined } {
    if (this.#isAnswered && now - this.#roundBegan >= this.#timing.everyMs) this.#begin(now);
    if (this.#isAnswered) return { send: [], verdict: undefined };
    const send = this.#paths
      .filter(({ missing, sentAt }) => missing.size > 0 && now - sentAt >= this.#timing.repeatMs)
      .map(({ path }) => path);
    return { send, verdict: this.#lateness(now) };
  }

  /** A canary was sent. @param rawEventId what the results name as their correlation id. */
  sent(path: Path<Venue>, rawEventId: string, canaryId: string, now: number): void {
    const state = this.#paths.find((each) => each.path === path);
    if (state === undefined) throw new Error(`no canaries go to ${nameOf(path)}`);
    state.sentAt = now;
    this.#probes.set(rawEventId, { state, canaryId, sentAt: now, missing: new Set(state.strategies) });
    if (this.#probes.size > remembered) this.#probes.delete(this.#probes.keys().next().value as string);
  }

  /**
   * A strategy's answer came through.
   * @returns the venue and when the canary was sent, unless this monitor did not send it or knows the answer; and
   *   what is to be said.
   */
  answered(
    rawEventId: string,
    strategy: string,
  ): { venue: Venue; sentAt: number; verdict: Verdict | undefined } | undefined {
    const probe = this.#probes.get(rawEventId);
    if (probe === undefined) return undefined;
    const { state, sentAt } = probe;
    const name = state.strategies.includes(strategy) ? strategy : anyStrategy;
    if (!probe.missing.delete(name)) return undefined;
    if (probe.missing.size === 0) this.#probes.delete(rawEventId);
    if (state.missing.delete(name) && state.missing.size === 0) this.#canaries.push(probe.canaryId);
    return { venue: state.path.venue, sentAt, verdict: this.#completion() };
  }

  /** Ends the judging: nothing is due any more, and nothing is ready. */
  end(): void {
    this.#isReady = false;
    this.#isAnswered = true;
    this.#roundBegan = Infinity;
  }

  #begin(now: number): void {
    this.#roundBegan = now;
    this.#isAnswered = false;
    this.#canaries = [];
    for (const state of this.#paths) {
      state.missing = new Set(state.strategies);
      state.sentAt = -Infinity;
    }
  }

  #completion(): Verdict | undefined {
    if (this.#isAnswered || this.#paths.some(({ missing }) => missing.size > 0)) return undefined;
    this.#isAnswered = true;
    this.#toldLateAt = -Infinity;
    if (this.#isReady) return undefined;
    this.#isReady = true;
    return { kind: "ready", canaries: this.#canaries };
  }

  /** Said once when it is too late, and again after each such time. */
  #lateness(now: number): Verdict | undefined {
    const { answerMs } = this.#timing;
    if (now - this.#roundBegan < answerMs || now - this.#toldLateAt < answerMs) return undefined;
    this.#toldLateAt = now;
    const was = this.#isReady;
    this.#isReady = false;
    const missing = this.#paths
      .filter((state) => state.missing.size > 0)
      .map(({ path, missing: names }) => `${nameOf(path)}: ${[...names].join(", ")}`);
    return { kind: "late", missing, was };
  }
}

function nameOf({ venue, partition }: Path): string {
  return `${venue} partition ${partition}`;
}
