/**
 * The comparison of the venue's account with our own books: what the day began with, and what has been filled since.
 * Positions must be equal, and no order may rest that is not ours. Cash is not compared: fees, interest and settlement
 * move it in ways that no fill tells; it stands in the recorded snapshots for people to look at.
 */
import { add, compare, subtract } from "../core/decimal.ts";
import type { AccountSnapshot, ExecuteTrade, VenueReference } from "../core/trading.ts";
import type { EndedCommand, OpenCommand } from "./journal.ts";

/** What the journal says about the account, at one moment. */
export class Books {
  /** Shares gained (negative: given away) by symbol. */
  readonly #filled = new Map<string, string>();
  readonly #endedOrders = new Map<string, string>();
  #orders = 0;

  /** How many commands had an order. */
  get orders(): number {
    return this.#orders;
  }

  /** Symbols that fills changed. */
  get symbols(): string[] {
    return [...this.#filled.keys()];
  }

  /** Takes a command in that has ended. @param reference what its order was prepared with. */
  take({ command, result }: Pick<EndedCommand, "command" | "result">, reference: VenueReference): void {
    for (const id of Object.values(reference)) this.#endedOrders.set(id, result.status);
    if (Object.keys(reference).length > 0) this.#orders += 1;
    const { instruction } = command;
    if (instruction.kind !== "place_order" || result.filled.kind !== "order") return;
    const { symbol, side } = instruction;
    const before = this.filled(symbol);
    const { quantity } = result.filled;
    this.#filled.set(symbol, side === "buy" ? add(before, quantity) : subtract(before, quantity));
  }

  /** Shares of a symbol gained by fills. */
  filled(symbol: string): string {
    return this.#filled.get(symbol) ?? "0";
  }

  /** How the command of an order ended; undefined when no ended command had it. */
  endOf(orderId: string): string | undefined {
    return this.#endedOrders.get(orderId);
  }
}

/** What commands that have not ended may still change, or have changed already without our knowing. */
interface Pending {
  /** Shares that may have come; undefined: any number. */
  bought: string | undefined;
  sold: string | undefined;
}

/**
 * Finds what is not as our books say.
 * @param baseline what the account held before the first order of the day.
 * @param open commands that have not ended: their fills may be in the account or not.
 * @returns one sentence for each difference: what, expected, found. Empty when all is well.
 */
export function differences(
  baseline: AccountSnapshot,
  books: Books,
  open: readonly Pick<OpenCommand, "event" | "reference">[],
  account: AccountSnapshot,
): string[] {
  const found: string[] = [];
  const held = quantities(account);
  const began = quantities(baseline);
  const pending = pendingOf(open.map(({ event }) => event.payload));
  for (const symbol of [...new Set([...began.keys(), ...held.keys(), ...books.symbols])].sort()) {
    const expected = add(began.get(symbol) ?? "0", books.filled(symbol));
    const actual = held.get(symbol) ?? "0";
    const { bought, sold } = pending.get(symbol) ?? { bought: "0", sold: "0" };
    const tooMuch = bought !== undefined && compare(actual, add(expected, bought)) > 0;
    const tooLittle = sold !== undefined && compare(actual, subtract(expected, sold)) < 0;
    if (tooMuch || tooLittle) {
      const leeway =
        compare(bought ?? "1", "0") + compare(sold ?? "1", "0") === 0 ? "" : ", give or take open orders";
      found.push(`position ${symbol}: expected ${expected}${leeway}, found ${actual}`);
    }
  }
  return [...found, ...foreignOrders(books, open, account)];
}

/** Orders that rest at the venue and belong to no open command of ours. */
export function foreignOrders(
  books: Books,
  open: readonly Pick<OpenCommand, "reference">[],
  account: AccountSnapshot,
): string[] {
  const ours = new Set(open.flatMap(({ reference }) => Object.values(reference)));
  return account.open_orders
    .filter(({ client_order_id }) => !ours.has(client_order_id))
    .map(({ client_order_id, side, symbol }) => {
      const end = books.endOf(client_order_id);
      const owner = end === undefined ? "it is not ours" : `its command ended ${end}`;
      return `open order ${client_order_id} (${side} ${symbol}): expected none, found one; ${owner}`;
    });
}

function quantities({ positions }: AccountSnapshot): Map<string, string> {
  return new Map(positions.map(({ symbol, quantity }) => [symbol, quantity]));
}

function pendingOf(open: readonly ExecuteTrade[]): Map<string, Pending> {
  const pending = new Map<string, Pending>();
  for (const { instruction } of open) {
    if (instruction.kind !== "place_order") continue;
    const { symbol, side, quantity } = instruction;
    const entry = pending.get(symbol) ?? { bought: "0", sold: "0" };
    const which = side === "buy" ? "bought" : "sold";
    const before = entry[which];
    entry[which] = before === undefined || quantity === undefined ? undefined : add(before, quantity);
    pending.set(symbol, entry);
  }
  return pending;
}
