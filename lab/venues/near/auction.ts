/** The relay's auctions and settlement. Who takes the offers is simulated; what an offer must be is not. */
import { createHash } from "node:crypto";
import type { NearQuote } from "../../session/index.ts";
import type { NewsFault } from "../faults.ts";
import { encodeBase58 } from "./base58.ts";
import type { QuoteResponse, SignedData } from "./messages.ts";
import { sum, type VerifiedIntent, type Verifier } from "./verifier.ts";

/** What a client gets for a late, unknown or already finished quote. */
export const finishedReason = "quote not found or already finished";

/** How an intent stands, as `get_status` tells it. */
export type IntentStatus = "PENDING" | "TX_BROADCASTED" | "SETTLED" | "NOT_FOUND_OR_NOT_VALID";

/** A solver's offer that was settled. */
export interface SettledIntent {
  quoteId: string;
  quoteHash: string;
  /** The taker's intent that it was matched with. */
  intentHash: string;
  transactionHash: string;
  signerId: string;
  /** 32 bytes in base64. */
  nonce: string;
  /** Base units by asset: positive is received by the solver, negative is given. */
  diff: Readonly<Record<string, string>>;
  /** Epoch milliseconds. */
  settledAt: number;
}

/** The relay's book: what was traded, and what was refused. */
export interface IntentBook {
  settled: readonly SettledIntent[];
  /** Refused offers and intents by reason. */
  refused: Readonly<Record<string, number>>;
  /** Refused because the nonce was used, or because the same signer's other offer for that quote was taken already. */
  duplicates: number;
  /** The same bytes sent again while the auction ran: harmless, answered with OK. */
  repeats: number;
}

/** A settlement as subscribers of `quote_status` learn it. */
export interface QuoteStatus {
  quote_hash: string;
  intent_hash: string;
  tx_hash: string;
}

interface Offer {
  quoteId: string;
  intent: VerifiedIntent;
  amountIn: string;
  amountOut: string;
  /** What is to happen to the news of its settlement. */
  news: NewsFault | undefined;
}

interface Auction {
  quote: NearQuote;
  openedAt: number;
  closesAt: number;
  /** The lab takes the first good offer itself; without a taker the offers wait for `publish_intent`. */
  simulatedTaker: boolean;
  offers: Offer[];
}

export interface AuctionArguments {
  verifier: Verifier;
  /** From acceptance to SETTLED, in milliseconds; half of it until TX_BROADCASTED. */
  settlementMs: number;
  onSettled: (status: QuoteStatus, news: NewsFault | undefined) => void;
}

/** How long offers are kept after their auction, for a taker who comes with `publish_intent`. */
const offerMemoryMs = 120_000;

/** How long the relay takes offers, from its documentation ("auction timing"). */
export function answerWindowMs(
  quote: Pick<NearQuote, "min_wait_ms" | "max_wait_ms" | "protocol_fee_included">,
): number {
  const window = quote.protocol_fee_included
    ? quote.min_wait_ms + 50
    : Math.max(300, quote.min_wait_ms) + 300;
  return Math.min(window, quote.max_wait_ms);
}

const hashOf = (text: string) => encodeBase58(createHash("sha256").update(text).digest());

/** All auctions of one relay. */
export class Auctions {
  readonly #verifier: Verifier;
  readonly #settlementMs: number;
  readonly #onSettled: AuctionArguments["onSettled"];
  readonly #auctions = new Map<string, Auction>();
  readonly #offers = new Map<string, Offer>();
  readonly #statuses = new Map<string, { status: IntentStatus; transactionHash?: string }>();
  readonly #timers = new Set<NodeJS.Timeout>();
  readonly #settled: SettledIntent[] = [];
  readonly #refused = new Map<string, number>();
  #duplicates = 0;
  #repeats = 0;

  constructor({ verifier, settlementMs, onSettled }: AuctionArguments) {
    this.#verifier = verifier;
    this.#settlementMs = settlementMs;
    this.#onSettled = onSettled;
  }

  /** Begins an auction: from now on offers for it are taken. */
  open(quote: NearQuote, simulatedTaker: boolean): void {
    const openedAt = Date.now();
    const closesAt = openedAt + answerWindowMs(quote);
    this.#auctions.set(quote.quote_id, { quote, openedAt, closesAt, simulatedTaker, offers: [] });
    this.#after(closesAt - openedAt + offerMemoryMs, () => {
      for (const offer of this.#auctions.get(quote.quote_id)?.offers ?? [])
        this.#offers.delete(offer.intent.hash);
      this.#auctions.delete(quote.quote_id);
    });
  }

  /**
   * Takes or refuses an offer.
   * @param news what is to happen to the news of its settlement.
   * @returns "OK", or the reason of the refusal.
   */
  respond(response: QuoteResponse, news?: NewsFault): "OK" | { reason: string } {
    const now = Date.now();
    const auction = this.#auctions.get(response.quote_id);
    if (auction === undefined || now > auction.closesAt) return this.#refuse(finishedReason);
    const verdict = this.#verifier.verify(response.signed_data, now);
    const hash = "intent" in verdict ? verdict.intent.hash : verdict.hash;
    if (auction.offers.some((offer) => offer.intent.hash === hash)) {
      this.#repeats++;
      return "OK";
    }
    if ("reason" in verdict) return this.#refuse(verdict.reason);
    const { intent } = verdict;
    if (auction.simulatedTaker && auction.offers.length > 0) {
      // The taker has an offer already; that it is the same signer's would have been a second trade.
      if (auction.offers.some((offer) => offer.intent.signerId === intent.signerId)) this.#duplicates++;
      return this.#refuse(finishedReason);
    }
    const offer = matchingOffer(auction.quote, response, intent, news);
    if (typeof offer === "string") return this.#refuse(offer);
    if (intent.deadlineMs < auction.openedAt + auction.quote.min_deadline_ms) {
      return this.#refuse(`deadline too early, the quote asks for ${auction.quote.min_deadline_ms} ms`);
    }
    auction.offers.push(offer);
    this.#offers.set(intent.hash, offer);
    if (auction.simulatedTaker) {
      this.#settleLater(`${hashOf(`simulated taker of ${intent.hash}`)}`, [offer]);
    }
    return "OK";
  }

  /** The offers for a quote, best for the taker first, as `quote` answers them. */
  offers(quoteId: string): object[] {
    const auction = this.#auctions.get(quoteId);
    if (auction === undefined) return [];
    const { quote, offers } = auction;
    return [...offers]
      .sort((a, b) =>
        quote.exact_amount_in === undefined
          ? Number(BigInt(a.amountIn) - BigInt(b.amountIn))
          : Number(BigInt(b.amountOut) - BigInt(a.amountOut)),
      )
      .map(({ intent, amountIn, amountOut }) => ({
        quote_hash: intent.hash,
        defuse_asset_identifier_in: quote.defuse_asset_identifier_in,
        defuse_asset_identifier_out: quote.defuse_asset_identifier_out,
        amount_in: amountIn,
        amount_out: amountOut,
        expiration_time: new Date(intent.deadlineMs).toISOString(),
      }));
  }

  /** A taker's intent, to be settled together with the offers that it names. */
  publish(
    quoteHashes: readonly string[],
    signed: SignedData,
  ): { status: "OK" | "FAILED"; reason?: string; intent_hash?: string } {
    const fail = (reason: string, hash?: string) => {
      this.#refuse(reason);
      return {
        status: "FAILED" as const,
        reason,
        ...(hash === undefined ? {} : { intent_hash: hash }),
      };
    };
    const now = Date.now();
    const verdict = this.#verifier.verify(signed, now);
    if ("reason" in verdict) return fail(verdict.reason);
    const { intent } = verdict;
    const offers: Offer[] = [];
    for (const quoteHash of new Set(quoteHashes)) {
      const offer = this.#offers.get(quoteHash);
      if (offer === undefined) return fail(finishedReason, intent.hash);
      if (offer.intent.deadlineMs <= now) return fail("expired", intent.hash);
      if (this.#verifier.isNonceUsed(offer.intent)) return fail("nonce was already used", intent.hash);
      offers.push(offer);
    }
    const total = sum([intent.diff, ...offers.map((offer) => offer.intent.diff)]);
    if ([...total.values()].some((amount) => amount !== 0n)) {
      return fail("the token diffs do not sum up to zero", intent.hash);
    }
    this.#verifier.useNonce(intent);
    this.#settleLater(intent.hash, offers);
    return { status: "OK", intent_hash: intent.hash };
  }

  /**
   * How an intent stands.
   * @param intentHash of the taker's intent; the solver's own hash (the quote hash) is answered as well, which the
   *   real relay is not known to do.
   */
  status(intentHash: string): { intent_hash: string; status: IntentStatus; data?: { hash: string } } {
    const known = this.#statuses.get(intentHash);
    return {
      intent_hash: intentHash,
      status: known?.status ?? "NOT_FOUND_OR_NOT_VALID",
      ...(known?.transactionHash === undefined ? {} : { data: { hash: known.transactionHash } }),
    };
  }

  book(): IntentBook {
    return {
      settled: [...this.#settled],
      refused: Object.fromEntries(this.#refused),
      duplicates: this.#duplicates,
      repeats: this.#repeats,
    };
  }

  /** Drops what is pending. */
  close(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
  }

  #refuse(reason: string): { reason: string } {
    this.#refused.set(reason, (this.#refused.get(reason) ?? 0) + 1);
    if (reason === "nonce was already used") this.#duplicates++;
    return { reason };
  }

  #settleLater(intentHash: string, offers: readonly Offer[]): void {
    const transactionHash = hashOf(`simulated transaction of ${intentHash}`);
    const hashes = [intentHash, ...offers.map((offer) => offer.intent.hash)];
    const set = (status: IntentStatus) => {
      const known =
        status === "PENDING" || status === "NOT_FOUND_OR_NOT_VALID"
          ? { status }
          : { status, transactionHash };
      for (const hash of hashes) this.#statuses.set(hash, known);
    };
    set("PENDING");
    this.#after(this.#settlementMs / 2, () => {
      set("TX_BROADCASTED");
      this.#after(this.#settlementMs / 2, () => {
        // Decided where the contract decides it: when the transaction runs. All of it settles, or nothing.
        const reason = this.#obstacle(offers);
        if (reason !== undefined) {
          this.#refuse(reason);
          set("NOT_FOUND_OR_NOT_VALID");
          return;
        }
        set("SETTLED");
        for (const offer of offers) this.#settle(offer, intentHash, transactionHash);
      });
    });
  }

  #obstacle(offers: readonly Offer[]): string | undefined {
    if (offers.some(({ intent }) => intent.deadlineMs <= Date.now())) return "expired";
    const nonces = offers.map(({ intent }) => `${intent.signerId} ${intent.nonce}`);
    const repeated = new Set(nonces).size < nonces.length;
    return repeated || offers.some(({ intent }) => this.#verifier.isNonceUsed(intent))
      ? "nonce was already used"
      : undefined;
  }

  #settle({ quoteId, intent, news }: Offer, intentHash: string, transactionHash: string): void {
    this.#verifier.useNonce(intent);
    this.#settled.push({
      quoteId,
      quoteHash: intent.hash,
      intentHash,
      transactionHash,
      signerId: intent.signerId,
      nonce: intent.nonce,
      diff: Object.fromEntries([...intent.diff].map(([asset, amount]) => [asset, String(amount)])),
      settledAt: Date.now(),
    });
    this.#onSettled({ quote_hash: intent.hash, intent_hash: intentHash, tx_hash: transactionHash }, news);
  }

  #after(ms: number, what: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      what();
    }, ms);
    timer.unref();
    this.#timers.add(timer);
  }
}

/** The offer, or how its signed token_diff differs from what the quote and the answer say. */
function matchingOffer(
  quote: NearQuote,
  response: QuoteResponse,
  intent: VerifiedIntent,
  news: NewsFault | undefined,
): Offer | string {
  const { amount_in: answeredIn, amount_out: answeredOut } = response.quote_output;
  const amountIn = quote.exact_amount_in ?? answeredIn;
  const amountOut = quote.exact_amount_out ?? answeredOut;
  if (amountIn === undefined || amountOut === undefined) {
    return `quote_output: expected ${quote.exact_amount_in === undefined ? "amount_in" : "amount_out"}`;
  }
  const expected = new Map([
    [quote.defuse_asset_identifier_in, BigInt(amountIn)],
    [quote.defuse_asset_identifier_out, -BigInt(amountOut)],
  ]);
  const same =
    intent.diff.size === expected.size &&
    [...expected].every(([asset, amount]) => intent.diff.get(asset) === amount);
  if (!same) {
    const wanted = [...expected].map(([asset, amount]) => `${asset}: ${amount}`).join(", ");
    return `the token_diff does not match the quote, expected {${wanted}}`;
  }
  return { quoteId: quote.quote_id, intent, amountIn, amountOut, news };
}
