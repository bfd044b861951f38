/** The last price of each symbol, and how much was on offer at it, learnt from what the feed sends. */
import { Decimal } from "decimal.js";

/** A data message of the stock stream, as far as prices need it. */
export interface PricedMessage {
  T: string;
  S: string;
  /** Trade price and size. */
  p?: number;
  s?: number;
  /** Bid and ask, and their sizes in round lots. */
  bp?: number;
  ap?: number;
  bs?: number;
  as?: number;
  /** Close of a bar, and its volume. */
  c?: unknown;
  v?: number;
}

/** Shares of a round lot. */
const roundLot = 100;

interface Price {
  price: Decimal;
  /** Shares that can still be bought or sold at it. */
  left: { buy: Decimal; sell: Decimal };
}

/** Current simulated prices. */
export class Prices {
  readonly #last = new Map<string, Price>();

  /** @returns true when the message told a price. */
  learn(message: PricedMessage): boolean {
    const told = read(message);
    if (told === undefined || !(told.price > 0)) return false;
    const shares = (count: number | undefined) => new Decimal(Math.max(0, count ?? 0));
    this.#last.set(message.S, {
      price: new Decimal(told.price).toDecimalPlaces(4),
      left: { buy: shares(told.buy), sell: shares(told.sell) },
    });
    return true;
  }

  get(symbol: string): Decimal | undefined {
    return this.#last.get(symbol)?.price;
  }

  /** Shares that can still be bought or sold at the current price. */
  left(symbol: string, side: "buy" | "sell"): Decimal {
    return this.#last.get(symbol)?.left[side] ?? new Decimal(0);
  }

  /** Takes shares from what is left at the current price. */
  take(symbol: string, side: "buy" | "sell", shares: Decimal): void {
    const last = this.#last.get(symbol);
    if (last !== undefined) last.left[side] = Decimal.max(0, last.left[side].minus(shares));
  }
}

function read({
  T,
  p,
  s,
  bp,
  ap,
  bs = 0,
  as = 0,
  c,
  v,
}: PricedMessage): { price: number; buy: number | undefined; sell: number | undefined } | undefined {
  switch (T) {
    case "t":
      return p === undefined ? undefined : { price: p, buy: s, sell: s };
    case "q":
      return bp === undefined || ap === undefined || bp === 0 || ap === 0
        ? undefined
        : { price: (bp + ap) / 2, buy: as * roundLot, sell: bs * roundLot };
    case "b":
    case "u":
    case "d":
      return typeof c === "number" ? { price: c, buy: v, sell: v } : undefined;
    default:
      return undefined;
  }
}
