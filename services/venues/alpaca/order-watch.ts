/** What is known of an order of ours while its end is open, and when to ask for it next. */
import type { Reason } from "../../core/trading.ts";
import { isEnded, type VenueOrder } from "./orders.ts";

/**
 * Pauses between questions for one order, in milliseconds; doubled with each question that brought nothing new. The
 * stream tells of fills within a second, so an order that it will tell of is asked for rarely: all questions share
 * 200 requests a minute with the orders.
 */
const urgentPauses = { first: 250, longest: 5_000 };
const patientPauses = { first: 2_000, longest: 30_000 };

/** Node's timers overflow beyond 2^31 - 1 ms. */
const longestTimerMs = 2 ** 31 - 1;

/** See the module's description. */
export class OrderWatch {
  #order: VenueOrder | undefined;
  #questions = 0;
  #askAt = Infinity;
  #isSettling = false;
  #wake: () => void = () => undefined;
  /** Why the order is to be ended, when it is. */
  cancelCause: Reason | undefined;

  /** The order as last seen; undefined until the venue shows it. */
  get order(): VenueOrder | undefined {
    return this.#order;
  }

  /** Whether somebody waits for the end. */
  get isSettling(): boolean {
    return this.#isSettling;
  }

  /** From now on (or no longer) somebody waits for the end. */
  settling(now: boolean): void {
    this.#isSettling = now;
  }

  /** Takes the order as the venue shows it; an older state never replaces an end. */
  seen(order: VenueOrder): void {
    if (this.#order !== undefined && isEnded(this.#order)) return;
    const isNews = this.#order?.status !== order.status || this.#order.filled_qty !== order.filled_qty;
    this.#order = order;
    if (isNews) this.#questions = 0;
    this.wake();
  }

  /** The order is to be asked for now. */
  ask(): void {
    this.#askAt = 0;
    this.wake();
  }

  /** The order was asked for, or is waited for from now on: the next question comes after a pause. */
  askLater(now: number, isUrgent: boolean): void {
    const { first, longest } = isUrgent ? urgentPauses : patientPauses;
    this.#askAt = now + Math.min(longest, first * 2 ** Math.min(this.#questions, 20));
    this.#questions += 1;
  }

  /** Something was done about the order: the next question comes after the shortest pause. */
  askSoon(now: number): void {
    this.#questions = 0;
    this.askLater(now, true);
  }

  /** Milliseconds since the epoch when the order is to be asked for. */
  get askAt(): number {
    return this.#askAt;
  }

  /** Ends {@link wait} now. */
  wake(): void {
    this.#wake();
  }

  /** Waits for {@link wake}, at most `ms`. */
  wait(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, Math.min(Math.max(0, ms), longestTimerMs));
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
