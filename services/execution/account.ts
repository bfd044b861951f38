/**
 * The comparison of the venue's account with our own books: what the day began with, and what has been filled since.
 * Positions must be equal, and no order may rest that is not ours. Cash is not compared: fees, interest and settlement
 * move it in ways that no fill tells; it stands in the recorded snapshots for people to look at.
 */
import { add, compare, subtract } from "../core/decimal.ts";
import type { AccountSnapshot, ExecuteTrade, FilledAmounts, VenueReference } from "../core/trading.ts";
import type { EndedCommand } from "./journal.ts";

/** Shares gained (negative: given away) by symbol. */
export class Fills {
  readonly #bySymbol = new Map<string, string>();

  /** Takes in what was filled of a command's order. */
  add({ instruction }: Pick<ExecuteTrade, "instruction">, filled: FilledAmounts): void {
    if (instruction.kind !== "place_order" || filled.kind !== "order") return;
    const { symbol, side } = instruction;
    const before = this.of(symbol);
    const { quantity } = filled;
    this.#bySymbol.set(symbol, side === "buy" ? add(before, quantity) : subtract(before, quantity));
  }

  of(symbol: string): string {
    return this.#bySymbol.get(symbol) ?? "0";
  }

  get symbols(): string[] {
    return [...this.#bySymbol.keys()];
  }

  isSameAs(other: Fills): boolean {
    const symbols = new Set([...this.symbols, ...other.symbols]);
    return [...symbols].every((symbol) => compare(this.of(symbol), other.of(symbol)) === 0);
  }

  copy(): Fills {
    const copy = new Fills();
    for (const [symbol, quantity] of this.#bySymbol) copy.#bySymbol.set(symbol, quantity);
    return copy;
  }
}

/** What the journal says about the account, at one moment. */
export class Books {
  /** What all ended commands have filled. */
  fills = new Fills();
  readonly #endedOrders = new Map<string, string>();
  #orders = 0;

  /** How many commands had an order. */
  get orders(): number {
    return this.#orders;
  }

  /** Symbols that fills changed. */
  get symbols(): string[] {
    return this.fills.symbols;
  }

  /** Takes a command in that has ended. @param reference what its order was prepared with. */
  take({ command, result }: Pick<EndedCommand, "command" | "result">, reference: VenueReference): void {
    for (const id of Object.values(reference)) this.#endedOrders.set(id, result.status);
    if (Object.keys(reference).length > 0) this.#orders += 1;
    this.fills.add(command, result.filled);
  }

  /** Shares of a symbol gained by fills. */
  filled(symbol: string): string {
    return this.fills.of(symbol);
  }

  /** The books as they are now; later fills do not change the copy. */
  copy(): Books {
    const copy = new Books();
    copy.fills = this.fills.copy();
    for (const [id, status] of this.#endedOrders) copy.#endedOrders.set(id, status);
    copy.#orders = this.#orders;
    return copy;
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

/** A command whose fills may be in the account or not. */
export interface PendingCommand {
  readonly command: ExecuteTrade;
  readonly reference: VenueReference;
}

/** A symbol of which the account holds something else than our books say. */
interface PositionDifference {
  symbol: string;
  expected: string;
  actual: string;
  /** Whether commands that have not ended were allowed for. */
  hasLeeway: boolean;
}

/**
 * Finds what is not as our books say.
 * @param baseline what the account held before the first order of the day, or as it was accepted since.
 * @param books the journal as it was before the account was read.
 * @param pending commands whose fills the account may show or not: open in those books, or begun since.
 * @returns one sentence for each difference: what, expected, found. Empty when all is well.
 */
export function differences(
  baseline: AccountSnapshot,
  books: Books,
  pending: readonly PendingCommand[],
  account: AccountSnapshot,
): string[] {
  const positions = positionDifferences(baseline, books, pending, account).map(
    ({ symbol, expected, actual, hasLeeway }) =>
      `position ${symbol}: expected ${expected}${hasLeeway ? ", give or take open orders" : ""}, found ${actual}`,
  );
  return [...positions, ...foreignOrders(books, pending, account, baseline)];
}

/** The baseline that makes the account right as it is: only what differs is changed. Arguments as {@link differences}. */
export function acceptedBaseline(
  baseline: AccountSnapshot,
  books: Books,
  pending: readonly PendingCommand[],
  account: AccountSnapshot,
): AccountSnapshot {
  const quantityOf = quantities(baseline);
  for (const { symbol, actual } of positionDifferences(baseline, books, pending, account)) {
    quantityOf.set(symbol, subtract(actual, books.filled(symbol)));
  }
  const positions = [...quantityOf].map(([symbol, quantity]) => ({ symbol, quantity }));
  return { ...account, positions };
}

/** The account as it would be if none of these fills had been. */
export function withoutFills(
  account: AccountSnapshot,
  fills: readonly Pick<Fills, "of" | "symbols">[],
): AccountSnapshot {
  const quantityOf = quantities(account);
  for (const each of fills) {
    for (const symbol of each.symbols) {
      quantityOf.set(symbol, subtract(quantityOf.get(symbol) ?? "0", each.of(symbol)));
    }
  }
  return { ...account, positions: [...quantityOf].map(([symbol, quantity]) => ({ symbol, quantity })) };
}

function positionDifferences(
  baseline: AccountSnapshot,
  books: Books,
  pendingCommands: readonly PendingCommand[],
  account: AccountSnapshot,
): PositionDifference[] {
  const found: PositionDifference[] = [];
  const held = quantities(account);
  const began = quantities(baseline);
  const pending = pendingOf(pendingCommands.map(({ command }) => command));
  for (const symbol of [...new Set([...began.keys(), ...held.keys(), ...books.symbols])].sort()) {
    const expected = add(began.get(symbol) ?? "0", books.filled(symbol));
    const actual = held.get(symbol) ?? "0";
    const { bought, sold } = pending.get(symbol) ?? { bought: "0", sold: "0" };
    const tooMuch = bought !== undefined && compare(actual, add(expected, bought)) > 0;
    const tooLittle = sold !== undefined && compare(actual, subtract(expected, sold)) < 0;
    if (!tooMuch && !tooLittle) continue;
    const hasLeeway = compare(bought ?? "1", "0") + compare(sold ?? "1", "0") !== 0;
    found.push({ symbol, expected, actual, hasLeeway });
  }
  return found;
}

/** Orders that rest at the venue, belong to no pending command of ours, and were not there at the baseline. */
export function foreignOrders(
  books: Books,
  pending: readonly Pick<PendingCommand, "reference">[],
  account: AccountSnapshot,
  baseline?: AccountSnapshot,
): string[] {
  const known = new Set([
    ...pending.flatMap(({ reference }) => Object.values(reference)),
    ...(baseline?.open_orders ?? []).map(({ client_order_id }) => client_order_id),
  ]);
  return account.open_orders
    .filter(({ client_order_id }) => !known.has(client_order_id))
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
