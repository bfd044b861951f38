/** What happens in the rounds of the kills' checks, from a seed: the same seed gives the same plan. */
import type { KillableCommand } from "./kills-child.ts";
import { type ChildEnd, type KillClock, type KillMoment } from "./kills-run.ts";

/** How often each clock ticks in a run that nobody kills. */
export type Lengths = Record<"open" | "close", ChildEnd["ticks"]>;

/** Numbers from 0 up to 1 (mulberry32, public domain, by Tommy Ettinger). */
export class Randomness {
  #state: number;

  /** @param seed a whole number */
  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** A whole number from `least` to `most`. */
  whole(least: number, most: number): number {
    return least + Math.floor(this.next() * (most - least + 1));
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.whole(0, choices.length - 1)] as T;
  }
}

/** Mostly what the engine does one by one; time alone would nearly always hit a program that is loading. */
const weighted: readonly KillClock[] = [
  ...(["request", "request", "request", "event", "event", "event"] as const),
  ...(["write", "write", "bucket", "bucket", "ms"] as const),
];

/**
 * Chooses a moment, evenly over a run of the command.
 * @param share how much of a whole run is still to be done, from 0 to 1: a run with less to do may end before its moment
 */
export function killMoment(
  random: Randomness,
  command: KillableCommand,
  lengths: Lengths,
  share: number,
): KillMoment {
  const clock = random.pick(weighted);
  const length = lengths[command === "up" || command === "open" ? "open" : "close"][clock];
  return {
    clock,
    nth: random.whole(1, Math.max(1, Math.round(length * share))),
    delayMs: random.chance(0.5) ? 0 : random.whole(1, 60),
    group: random.chance(0.5),
  };
}
