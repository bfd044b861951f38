/** Every signed offer that the relay was sent: what a judge needs to tell a second trade from a harmless repeat. */
import type { VerifiedIntent } from "./verifier.ts";

/** An offer with a good signature, taken or refused. */
export interface LoggedOffer {
  quoteId: string;
  /** Base58 of what was signed: the same bytes have the same hash. */
  quoteHash: string;
  signerId: string;
  /** 32 bytes in base64; the same command of our executor has the same one. */
  nonce: string;
  /** "accepted", or the reason of the refusal. */
  outcome: string;
  /** How often the same bytes were sent again. */
  repeats: number;
  /** A different offer of the same signer was taken before, for the same quote or with the same nonce. */
  isDuplicate: boolean;
}

/** The log, in order of arrival. */
export class OfferLog {
  readonly #offers = new Map<string, LoggedOffer>();
  /** Hash of the first offer that was taken, by signer and quote and by signer and nonce. */
  readonly #taken = new Map<string, string>();
  #duplicates = 0;
  #repeats = 0;

  get offers(): readonly LoggedOffer[] {
    return [...this.#offers.values()].map((offer) => ({ ...offer }));
  }

  /** How many offers are duplicates. */
  get duplicates(): number {
    return this.#duplicates;
  }

  /** How often offers that had been taken were sent again, byte by byte. */
  get repeats(): number {
    return this.#repeats;
  }

  /**
   * Notes an offer.
   * @param perQuote whether a signer may have one offer for a quote only (so it is where the first one is taken), not
   *   several to choose from.
   */
  add(quoteId: string, { hash, signerId, nonce }: VerifiedIntent, outcome: string, perQuote: boolean): void {
    const known = this.#offers.get(hash);
    if (known !== undefined) {
      known.repeats++;
      if (known.outcome === "accepted") {
        this.#repeats++;
        return;
      }
      known.outcome = outcome;
    }
    const keys = [`nonce ${signerId} ${nonce}`, ...(perQuote ? [`quote ${signerId} ${quoteId}`] : [])];
    const isDuplicate = keys.some((key) => (this.#taken.get(key) ?? hash) !== hash);
    if (isDuplicate && known?.isDuplicate !== true) this.#duplicates++;
    if (known === undefined) {
      this.#offers.set(hash, { quoteId, quoteHash: hash, signerId, nonce, outcome, repeats: 0, isDuplicate });
    } else known.isDuplicate ||= isDuplicate;
    if (outcome === "accepted") for (const key of keys) if (!this.#taken.has(key)) this.#taken.set(key, hash);
  }
}
