/** The gates of a running executor: the pure rules of risk.ts, with the conditions of this moment. */
import { everyVenue, KillSwitch } from "../bus/kill-switch.ts";
import type { ControlMessage } from "../bus/control.ts";
import type { Event } from "../core/envelope.ts";
import type { PreparedOrder } from "../core/execution-venue.ts";
import type { ExecuteTrade, Reason } from "../core/trading.ts";
import type { Gates } from "./executor.ts";
import { denial, OrderRate, refuseCommand, refuseOrder, type ClockReading, type RiskLimits } from "./risk.ts";

/**
 * How a kill switch begins its reason that was engaged because the account differs. It is on the control topic like
 * any other, so that every replica and every later start knows it, and a person releases it the same way.
 */
export const mismatchReason = "account_mismatch: ";

/** Arguments of {@link TradingGates}. */
export interface TradingGatesOptions {
  venue: string;
  limits: RiskLimits;
  clock: { readonly reading: ClockReading | "unknown" | undefined };
  /** Wall clock, milliseconds since the epoch. */
  now?: () => number;
}

/** See the module's description. */
export class TradingGates implements Gates {
  readonly #venue: string;
  readonly #limits: RiskLimits;
  readonly #clock: TradingGatesOptions["clock"];
  readonly #now: () => number;
  readonly #killSwitch = new KillSwitch();
  #releasedAt: string | undefined;
  readonly #rate: OrderRate;

  constructor({ venue, limits, clock, now = Date.now }: TradingGatesOptions) {
    this.#venue = venue;
    this.#limits = limits;
    this.#clock = clock;
    this.#now = now;
    this.#rate = new OrderRate(limits.RISK_MAX_ORDERS_PER_MINUTE);
  }

  /** Takes a message of the control topic in. */
  apply(message: ControlMessage): void {
    if (message.type !== "kill_switch") return;
    this.#killSwitch.apply(message);
    if (message.state === "released" && [everyVenue, this.#venue].includes(message.scope)) {
      this.#releasedAt = message.at;
    }
  }

  /** When a person last allowed trading at this venue again; undefined when that has not happened. */
  get releasedAt(): string | undefined {
    return this.#releasedAt;
  }

  /** Whether the kill switch stops this venue. */
  get isStopped(): boolean {
    return this.#killSwitch.engagedFor(this.#venue) !== undefined;
  }

  /** Why nothing may be sent now, also when it was allowed before; undefined while trading goes on. */
  stopped(): Reason | undefined {
    const engaged = this.#killSwitch.engagedFor(this.#venue);
    if (engaged === undefined) return undefined;
    const { reason, by, at } = engaged;
    const code = reason.startsWith(mismatchReason) ? "account_mismatch" : "kill_switch";
    return denial(code, `trading was stopped by ${by} at ${at}: ${reason}`);
  }

  command(event: Event<ExecuteTrade>): Reason | undefined {
    const conditions = { now: this.#now(), blocked: this.stopped(), clock: this.#clock.reading };
    return refuseCommand(event, conditions, this.#limits);
  }

  order(command: ExecuteTrade, order: PreparedOrder): Reason | undefined {
    return refuseOrder(command, order, this.#limits) ?? this.#rate.take();
  }
}
