/** The relay's auctions. Who takes the offers is simulated; what an offer must be is not. */
import type { NearQuote } from "../../session/index.ts";
import type { NewsFault } from "../faults.ts";
import { Timers } from "../timers.ts";
import type { QuoteResponse, SignedData } from "./messages.ts";
import { type LoggedOffer, OfferLog } from "./offer-log.ts";
import { type Offer, type SettledIntent, Settlement, type SettlementArguments } from "./settlement.ts";
import { sum, type Verdict, type VerifiedIntent, type Verifier } from "./verifier.ts";

/** What a client gets for a late, unknown or already finished quote. */
export const finishedReason = "quote not found or already finished";

/** The relay's book: what was traded, and what was refused. */
export interface IntentBook {
  settled: readonly SettledIntent[];
  /** Refused offers and intents by reason. */
  refused: Readonly<Record<string, number>>;
  /** Every offer with a good signature, in order of arrival. */
  offers: readonly LoggedOffer[];
  /** How many of them were sent although a different one was taken, for the same quote or with the same nonce. */
  duplicates: number;
  /** How often an offer that had been taken was sent again, byte by byte: harmless. */
  repeats: number;
}

interface Auction {
  quote: NearQuote;
  openedAt: number;
  closesAt: number;
  /** The lab takes the first good offer itself; without a taker the offers wait for `publish_intent`. */
  simulatedTaker: boolean;
  offers: Offer[];
}

export type AuctionArguments = Pick<SettlementArguments, "verifier" | "settlementMs" | "onSettled">;

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

/** All auctions of one relay. */
export class Auctions {
  readonly #verifier: Verifier;
  readonly #settlement: Settlement;
  readonly #timers = new Timers();
  readonly #auctions = new Map<string, Auction>();
  readonly #offers = new Map<string, Offer>();
  readonly #log = new OfferLog();
  readonly #refused = new Map<string, number>();

  constructor(args: AuctionArguments) {
    this.#verifier = args.verifier;
    this.#settlement = new Settlement({
      ...args,
      timers: this.#timers,
      onFailed: (reason) => void this.#refuse(reason),
    });
  }

  /** Begins an auction: from now on offers for it are taken. */
  open(quote: NearQuote, simulatedTaker: boolean): void {
    const openedAt = Date.now();
    const closesAt = openedAt + answerWindowMs(quote);
    this.#auctions.set(quote.quote_id, { quote, openedAt, closesAt, simulatedTaker, offers: [] });
    this.#timers.after(closesAt - openedAt + offerMemoryMs, () => {
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
    const verdict = this.#verifier.verify(response.signed_data, now);
    const auction = this.#auctions.get(response.quote_id);
    const result = this.#judge(auction, response, verdict, news, now);
    const outcome = typeof result === "string" ? "accepted" : result.reason;
    if (verdict.intent !== undefined)
      this.#log.add(response.quote_id, verdict.intent, outcome, auction?.simulatedTaker ?? true);
    return typeof result === "string" ? result : this.#refuse(result.reason);
  }

  #judge(
    auction: Auction | undefined,
    response: QuoteResponse,
    verdict: Verdict,
    news: NewsFault | undefined,
    now: number,
  ): "OK" | { reason: string } {
    if (auction === undefined || now > auction.closesAt) return { reason: finishedReason };
    if (auction.offers.some((offer) => offer.intent.hash === verdict.intent?.hash)) return "OK";
    if (verdict.reason !== undefined) return { reason: verdict.reason };
    const { intent } = verdict;
    // The taker has an offer already.
    if (auction.simulatedTaker && auction.offers.length > 0) return { reason: finishedReason };
    const offer = matchingOffer(auction.quote, response, intent, news);
    if (typeof offer === "string") return { reason: offer };
    if (intent.deadlineMs < auction.openedAt + auction.quote.min_deadline_ms) {
      return { reason: `deadline too early, the quote asks for ${auction.quote.min_deadline_ms} ms` };
    }
    auction.offers.push(offer);
    this.#offers.set(intent.hash, offer);
    if (auction.simulatedTaker) this.#settlement.beginSimulated(offer);
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
    if (verdict.reason !== undefined) return fail(verdict.reason, verdict.intent?.hash);
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
    const shortfall = this.#verifier.shortfall([intent, ...offers.map((offer) => offer.intent)]);
    if (shortfall !== undefined) return fail(shortfall, intent.hash);
    this.#settlement.begin(intent, offers);
    return { status: "OK", intent_hash: intent.hash };
  }

  /** How an intent stands, see {@link Settlement.status}. */
  status(intentHash: string): ReturnType<Settlement["status"]> {
    return this.#settlement.status(intentHash);
  }

  book(): IntentBook {
    return {
      settled: this.#settlement.settled,
      refused: Object.fromEntries(this.#refused),
      offers: this.#log.offers,
      duplicates: this.#log.duplicates,
      repeats: this.#log.repeats,
    };
  }

  /** Drops what is pending. */
  close(): void {
    this.#timers.close();
  }

  #refuse(reason: string): { reason: string } {
    this.#refused.set(reason, (this.#refused.get(reason) ?? 0) + 1);
    return { reason };
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
