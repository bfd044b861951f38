/** What can be ordered where, as far as it differs from the catalog. */
import { locations } from "./locations.ts";
import { type Availability, type Offer, type ServerType, serverTypes } from "./server-types.ts";

/** Availability by the names of server type and location, for example `{cpx32: {fsn1: "sold-out"}}`. */
export type StockChanges = Readonly<Record<string, Readonly<Record<string, Availability>>>>;

/** A change of the stock names something that is not there. */
export class StockError extends Error {
  override readonly name = "StockError";
  readonly mistakes: readonly string[];

  constructor(mistakes: readonly string[]) {
    super(`Hetzner simulator: wrong stock: ${mistakes.join("; ")}`);
    this.mistakes = mistakes;
  }
}

/** The stock of all locations. */
export class Stock {
  readonly #changed = new Map<string, Availability>();

  /** @throws StockError when a name is unknown */
  constructor(changes: StockChanges = {}) {
    this.change(changes);
  }

  /** @throws StockError when a server type or location is unknown, or a type is not offered there; nothing is changed then */
  change(changes: StockChanges): void {
    const wanted = Object.entries(changes).flatMap(([type, places]) =>
      Object.entries(places).map(([location, availability]) => ({ type, location, availability })),
    );
    const mistakes = wanted.flatMap(({ type, location }) => {
      const found = serverTypes.find(({ name }) => name === type);
      if (found === undefined) return [`unknown server type '${type}'`];
      if (locations.every(({ name }) => name !== location)) return [`unknown location '${location}'`];
      if (found.offers.every((offer) => offer.location !== location))
        return [`${type} is not offered in ${location}`];
      return [];
    });
    if (mistakes.length > 0) throw new StockError(mistakes);
    for (const { type, location, availability } of wanted)
      this.#changed.set(`${type} ${location}`, availability);
  }

  /** Where a type can be ordered now. */
  offers(type: ServerType): readonly Offer[] {
    return type.offers.map(({ location, availability }) => ({
      location,
      availability: this.#changed.get(`${type.name} ${location}`) ?? availability,
    }));
  }
}
