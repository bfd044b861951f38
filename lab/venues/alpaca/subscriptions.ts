/** What one connection of the stock stream has subscribed to. */

/** Channels of the stock stream, by the data message's type `T`. */
const channelOfType: Readonly<Record<string, Channel>> = {
  t: "trades",
  c: "trades", // corrections and cancels come with the trades
  x: "trades",
  q: "quotes",
  b: "bars",
  u: "updatedBars",
  d: "dailyBars",
  s: "statuses",
  l: "lulds",
};

export const channels = [
  "trades",
  "quotes",
  "bars",
  "updatedBars",
  "dailyBars",
  "statuses",
  "lulds",
] as const;
export type Channel = (typeof channels)[number];

/** Symbols by channel, `*` for all. */
export type SymbolLists = Partial<Record<Channel, readonly string[]>>;

/** The subscriptions of a connection. */
export class Subscriptions {
  readonly #symbols = new Map<Channel, Set<string>>(channels.map((channel) => [channel, new Set()]));

  get isEmpty(): boolean {
    return [...this.#symbols.values()].every((symbols) => symbols.size === 0);
  }

  /**
   * Adds to the subscriptions, all or nothing.
   * @param limit most trade and quote channels together; `*` counts as one.
   * @returns false when that would exceed the limit; nothing has changed then.
   */
  add(lists: SymbolLists, limit: number): boolean {
    const after = (channel: Channel) => new Set([...this.#of(channel), ...(lists[channel] ?? [])]);
    if (after("trades").size + after("quotes").size > limit) return false;
    for (const channel of channels) this.#symbols.set(channel, after(channel));
    return true;
  }

  remove(lists: SymbolLists): void {
    for (const channel of channels)
      for (const symbol of lists[channel] ?? []) this.#of(channel).delete(symbol);
  }

  /** Whether a data message of this type and symbol is to be sent. */
  covers(type: string, symbol: string): boolean {
    const channel = channelOfType[type];
    if (channel === undefined) return false;
    const symbols = this.#of(channel);
    return symbols.has("*") || symbols.has(symbol);
  }

  /** The full current list, as the venue answers every change. */
  message(): object {
    const lists = Object.fromEntries(channels.map((channel) => [channel, [...this.#of(channel)]]));
    const trades = [...this.#of("trades")];
    return { T: "subscription", ...lists, corrections: trades, cancelErrors: trades };
  }

  #of(channel: Channel): Set<string> {
    return this.#symbols.get(channel) ?? new Set();
  }
}
