/**
 * What is remembered of commands that have ended: enough to recognise one that is delivered again, a second command
 * with the same idempotency key, and a fill that comes too late. About 250 bytes a command; the details for late
 * fills only of the newest ones.
 */
import { compare } from "../core/decimal.ts";
import type { ReportedFill } from "../core/execution-venue.ts";
import type { FilledAmounts, TerminalStatus, VenueReference } from "../core/trading.ts";
import type { EndedCommand } from "./journal.ts";

/** Orders that late fills are recognised for; a fill is late by seconds, not by ten thousands of orders. */
const rememberedOrders = 20_000;

/** An order whose command has ended. */
export interface EndedOrder {
  readonly id: string;
  readonly status: TerminalStatus;
  readonly filled: FilledAmounts;
}

/** See the module's description. */
export class EndedCommands {
  readonly #ids = new Set<string>();
  /** Command id by idempotency key. */
  readonly #keys = new Map<string, string>();
  /** By each id that the venue was told. */
  readonly #orders = new Map<string, EndedOrder>();

  get size(): number {
    return this.#ids.size;
  }

  /** Notes that a command has ended. @param reference what its order was prepared with; empty when none was. */
  add({ id, idempotencyKey, result }: EndedCommand, reference: VenueReference): void {
    this.#ids.add(id);
    // A twin that was denied for its key does not take the key over.
    if (!this.#keys.has(idempotencyKey)) this.#keys.set(idempotencyKey, id);
    const order: EndedOrder = { id, status: result.status, filled: result.filled };
    for (const orderId of Object.values(reference)) this.#orders.set(orderId, order);
    while (this.#orders.size > rememberedOrders) {
      this.#orders.delete(this.#orders.keys().next().value as string);
    }
  }

  has(id: string): boolean {
    return this.#ids.has(id);
  }

  /** The command that had an idempotency key. */
  withKey(idempotencyKey: string): string | undefined {
    return this.#keys.get(idempotencyKey);
  }

  /** The order that a fill belongs to, when its command's result says less than the fill; once per order. */
  takeLate(fill: ReportedFill): EndedOrder | undefined {
    const order = this.#orders.get(fill.orderId);
    if (order === undefined || !isMore(fill.filled, order)) return undefined;
    for (const [orderId, each] of this.#orders) if (each === order) this.#orders.delete(orderId);
    return order;
  }
}

/** Reports of a part come late, too, but say nothing that the result does not. */
function isMore(reported: FilledAmounts, { status, filled }: EndedOrder): boolean {
  if (reported.kind === "swap") return status !== "FILLED";
  return filled.kind !== "order" || compare(reported.quantity, filled.quantity) > 0;
}
