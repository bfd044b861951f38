/** What the account owns: cash and positions, exact. A cash account: it never owes money or shares. */
import { Decimal } from "decimal.js";

/** What is held of a symbol. */
export interface Holding {
  quantity: Decimal;
  /** What was paid for it. */
  cost: Decimal;
}

const zero = new Decimal(0);

/** Cash and positions. */
export class Portfolio {
  readonly #holdings = new Map<string, Holding>();
  #cash: Decimal;

  /** @param cash at the start, in US dollars. */
  constructor(cash: string) {
    this.#cash = new Decimal(cash);
  }

  get cash(): Decimal {
    return this.#cash;
  }

  get holdings(): ReadonlyMap<string, Holding> {
    return this.#holdings;
  }

  /** Shares of a symbol. */
  quantity(symbol: string): Decimal {
    return this.#holdings.get(symbol)?.quantity ?? zero;
  }

  /** Books a fill. @returns the shares held after it. */
  book(symbol: string, side: "buy" | "sell", quantity: Decimal, price: Decimal): Decimal {
    const before = this.#holdings.get(symbol) ?? { quantity: zero, cost: zero };
    const value = quantity.times(price);
    const held = side === "buy" ? before.quantity.plus(quantity) : before.quantity.minus(quantity);
    // A sale takes its share of what was paid, so that the average price of the rest stays.
    const cost = side === "buy" ? before.cost.plus(value) : before.cost.times(held).div(before.quantity);
    if (held.isZero()) this.#holdings.delete(symbol);
    else this.#holdings.set(symbol, { quantity: held, cost });
    this.#cash = side === "buy" ? this.#cash.minus(value) : this.#cash.plus(value);
    return held;
  }
}
