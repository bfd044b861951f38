/** The last price of each symbol, learnt from what the feed sends. */
import { Decimal } from "decimal.js";

/** A data message of the stock stream, as far as prices need it. */
export interface PricedMessage {
  T: string;
  S: string;
  /** Trade price. */
  p?: number;
  /** Bid and ask. */
  bp?: number;
  ap?: number;
  /** Close of a bar. */
  c?: unknown;
}

/** Current simulated prices. */
export class Prices {
  readonly #last = new Map<string, Decimal>();

  /** @returns true when the message told a price. */
  learn(message: PricedMessage): boolean {
    const price = priceOf(message);
    if (price === undefined || !(price > 0)) return false;
    this.#last.set(message.S, new Decimal(price).toDecimalPlaces(4));
    return true;
  }

  get(symbol: string): Decimal | undefined {
    return this.#last.get(symbol);
  }
}

function priceOf(message: PricedMessage): number | undefined {
  switch (message.T) {
    case "t":
      return message.p;
    case "q":
      return message.bp === undefined || message.ap === undefined || message.bp === 0 || message.ap === 0
        ? undefined
        : (message.bp + message.ap) / 2;
    case "b":
    case "u":
    case "d":
      return typeof message.c === "number" ? message.c : undefined;
    default:
      return undefined;
  }
}
