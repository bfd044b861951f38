/** What becomes of matched intents: simulated transactions, real rules. All of a transaction settles, or nothing. */
import { createHash } from "node:crypto";
import type { NewsFault } from "../faults.ts";
import type { Timers } from "../timers.ts";
import { encodeBase58 } from "./base58.ts";
import type { VerifiedIntent, Verifier } from "./verifier.ts";

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

/** A settlement as subscribers of `quote_status` learn it. */
export interface QuoteStatus {
  quote_hash: string;
  intent_hash: string;
  tx_hash: string;
}

/** A solver's offer that the relay took. */
export interface Offer {
  quoteId: string;
  intent: VerifiedIntent;
  amountIn: string;
  amountOut: string;
  /** What is to happen to the news of its settlement. */
  news: NewsFault | undefined;
}

export interface SettlementArguments {
  verifier: Verifier;
  timers: Timers;
  /** From acceptance to SETTLED, in milliseconds; half of it until TX_BROADCASTED. */
  settlementMs: number;
  onSettled: (status: QuoteStatus, news: NewsFault | undefined) => void;
  /** Told why a transaction failed. */
  onFailed: (reason: string) => void;
}

const hashOf = (text: string) => encodeBase58(createHash("sha256").update(text).digest());

/** All transactions of one relay. */
export class Settlement {
  readonly #args: SettlementArguments;
  readonly #statuses = new Map<string, { status: IntentStatus; transactionHash?: string }>();
  readonly #settled: SettledIntent[] = [];

  constructor(args: SettlementArguments) {
    this.#args = args;
  }

  /** What was settled, oldest first. */
  get settled(): readonly SettledIntent[] {
    return [...this.#settled];
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

  /** Settles offers against a simulated taker, who has what is asked for. */
  beginSimulated(offer: Offer): void {
    this.#begin(hashOf(`simulated taker of ${offer.intent.hash}`), [offer], []);
  }

  /** Settles offers against a taker's intent, whose nonce is used from now on. */
  begin(taker: VerifiedIntent, offers: readonly Offer[]): void {
    this.#args.verifier.useNonce(taker);
    this.#begin(taker.hash, offers, [taker]);
  }

  #begin(intentHash: string, offers: readonly Offer[], takers: readonly VerifiedIntent[]): void {
    const { verifier, timers, settlementMs, onFailed } = this.#args;
    const transactionHash = hashOf(`simulated transaction of ${intentHash}`);
    const hashes = [intentHash, ...offers.map((offer) => offer.intent.hash)];
    const intents = [...offers.map(({ intent }) => intent), ...takers];
    const set = (status: IntentStatus, transaction: { transactionHash?: string }) => {
      for (const hash of hashes) this.#statuses.set(hash, { status, ...transaction });
    };
    set("PENDING", {});
    timers.after(settlementMs / 2, () => {
      set("TX_BROADCASTED", { transactionHash });
      timers.after(settlementMs / 2, () => {
        // Decided where the contract decides it: when the transaction runs.
        const reason = this.#obstacle(offers) ?? verifier.shortfall(intents);
        if (reason !== undefined) {
          onFailed(reason);
          set("NOT_FOUND_OR_NOT_VALID", {});
          return;
        }
        set("SETTLED", { transactionHash });
        verifier.transfer(intents);
        for (const offer of offers) this.#settle(offer, intentHash, transactionHash);
      });
    });
  }

  #obstacle(offers: readonly Offer[]): string | undefined {
    if (offers.some(({ intent }) => intent.deadlineMs <= Date.now())) return "expired";
    const nonces = offers.map(({ intent }) => `${intent.signerId} ${intent.nonce}`);
    const repeated = new Set(nonces).size < nonces.length;
    return repeated || offers.some(({ intent }) => this.#args.verifier.isNonceUsed(intent))
      ? "nonce was already used"
      : undefined;
  }

  #settle({ quoteId, intent, news }: Offer, intentHash: string, transactionHash: string): void {
    this.#args.verifier.useNonce(intent);
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
    this.#args.onSettled(
      { quote_hash: intent.hash, intent_hash: intentHash, tx_hash: transactionHash },
      news,
    );
  }
}
