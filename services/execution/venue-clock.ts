/** The venue's clock and market hours, read every few seconds and corrected for the way of the question. */
import { setTimeout as delay } from "node:timers/promises";
import type { ExecutionVenue, MarketClock } from "../core/execution-venue.ts";
import type { ServiceContext } from "../core/service.ts";
import type { ClockReading } from "./risk.ts";

/** Pause between two readings, in milliseconds: how late the end of the market's hours may be noticed. */
const refreshMs = 10_000;

/** A reading that is older says nothing any more. */
const staleMs = 60_000;

/**
 * What an answer tells of the difference of the clocks: the venue's time belongs to some moment between question and
 * answer, so only what goes beyond that is certain.
 */
export function readClock({ now, isOpen }: MarketClock, askedAt: number, answeredAt: number): ClockReading {
  const ahead = now - answeredAt;
  const behind = now - askedAt;
  return { isOpen, skewMs: ahead > 0 ? ahead : behind < 0 ? behind : 0 };
}

/** See the module's description. */
export class VenueClock {
  readonly #venue: Pick<ExecutionVenue, "name" | "clock">;
  readonly #context: Pick<ServiceContext, "logger" | "signal">;
  #reading: ClockReading | undefined;
  #readAt = -Infinity;

  constructor(
    venue: Pick<ExecutionVenue, "name" | "clock">,
    context: Pick<ServiceContext, "logger" | "signal">,
  ) {
    this.#venue = venue;
    this.#context = context;
  }

  /** The last reading; `unknown` while there is none that is fresh; undefined where the venue has no clock. */
  get reading(): ClockReading | "unknown" | undefined {
    if (this.#venue.clock === undefined) return undefined;
    return performance.now() - this.#readAt > staleMs ? "unknown" : (this.#reading ?? "unknown");
  }

  /** Reads the clock once, then again and again until the service stops. Never rejects. */
  async start(): Promise<void> {
    if (this.#venue.clock === undefined) return;
    await this.#read();
    void this.#readOn();
  }

  async #readOn(): Promise<void> {
    const { signal } = this.#context;
    while (!signal.aborted) {
      await delay(refreshMs, undefined, { signal, ref: false }).catch(() => undefined);
      if (!signal.aborted) await this.#read();
    }
  }

  async #read(): Promise<void> {
    const askedAt = Date.now();
    try {
      const clock = await this.#venue.clock?.();
      if (clock === undefined) return;
      this.#reading = readClock(clock, askedAt, Date.now());
      this.#readAt = performance.now();
    } catch (error) {
      this.#context.logger.warn(
        { err: error, venue: this.#venue.name },
        "the venue's clock could not be read",
      );
    }
  }
}
