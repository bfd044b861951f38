/** Executes commands at NEAR Intents: answers quotes with signed intents and finds out whether they settled. */
import { z } from "zod";
import { integer, text, url } from "../../core/config.ts";
import type { ExecuteTrade, VenueReference } from "../../core/trading.ts";
import {
  nothingFilled,
  RefusedCommandError,
  type ExecutionVenue,
  type MayStillSend,
  type PreparedOrder,
  type Settlement,
  type Submission,
} from "../../core/execution-venue.ts";
import type { ServiceContext } from "../../core/service.ts";
import { fromInstant } from "../../core/time.ts";
import { Relay, type QuoteUsed, type RelayAnswer, type RelayListener } from "./relay.ts";
import { nonceV1, readSigner, signNep413, uniqueOf, type Signer } from "./signing.ts";

/** The contract that verifies and settles intents. */
const contract = "intents.near";

/**
 * After the deadline a settlement that was under way may still become visible: a block and the relay's own
 * delay. "Not found" counts only after this, in milliseconds.
 */
const defaultGraceMs = 1_000;

/**
 * The same for a quote that is known to be used: its transaction was made in time, and when the relay shows how it ended
 * is up to the chain and the relay. Whoever calls it EXPIRED too early has swapped without knowing; whoever waits only
 * delays a result. In milliseconds.
 */
const defaultUsedGraceMs = 60_000;

/** Pause between two questions for one intent, in milliseconds: doubles from question to question. */
const defaultPollMs = 100;
const longestPollMs = 2_000;

/** Node's timers overflow beyond 2^31 - 1 ms. */
const longestTimerMs = 2 ** 31 - 1;

/** Arguments of {@link NearVenue}. */
export interface NearVenueOptions {
  /** Opens the connection to the relay; news of it goes to the listener. */
  openRelay(listener: RelayListener): Pick<Relay, "request" | "status" | "close">;
  signer: Signer;
  /** The contract's `current_salt`, 4 bytes. */
  salt: Buffer;
  /** See {@link defaultGraceMs}. */
  graceMs?: number;
  /** See {@link defaultUsedGraceMs}. */
  usedGraceMs?: number;
  /** Pause after the first question for an intent that is not settled yet. Default 100 ms. */
  pollMs?: number;
}

/** What is known of a quote of ours while its end is open. */
class QuoteWatch {
  used: QuoteUsed | undefined;
  /** Something may have happened: the relay is to be asked. */
  ask = false;
  #wake: () => void = () => undefined;

  /** Ends {@link wait} now. */
  wake(): void {
    this.#wake();
  }

  /** Waits for {@link wake}, at most `ms`. */
  wait(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

/** NEAR Intents as a venue of the executor. */
export class NearVenue implements ExecutionVenue {
  readonly name = "near-intents";
  readonly #relay: Pick<Relay, "request" | "status" | "close">;
  readonly #signer: Signer;
  readonly #salt: Buffer;
  readonly graceMs: number;
  readonly #usedGraceMs: number;
  readonly #pollMs: number;
  readonly #watches = new Map<string, QuoteWatch>();

  constructor(options: NearVenueOptions) {
    this.#signer = options.signer;
    this.#salt = options.salt;
    this.graceMs = options.graceMs ?? defaultGraceMs;
    this.#usedGraceMs = options.usedGraceMs ?? defaultUsedGraceMs;
    this.#pollMs = options.pollMs ?? defaultPollMs;
    this.#relay = options.openRelay({
      onUsed: (quoteHash, used) => {
        const watch = this.#watches.get(quoteHash);
        if (watch === undefined) return;
        watch.used = used;
        watch.ask = true;
        watch.wake();
      },
      // News may have been missed, and the relay does not repeat it.
      onReconnected: () => {
        for (const watch of this.#watches.values()) {
          watch.ask = true;
          watch.wake();
        }
      },
    });
  }

  /** Signs the intent. The same command gives the same bytes, so it can settle at most once. */
  prepare(command: ExecuteTrade): PreparedOrder {
    const { quote_id, asset_in, asset_out, amount_in, amount_out, exact } = swapOf(command);
    if (asset_in === asset_out) {
      throw new RefusedCommandError("same_asset", `${asset_in} cannot be swapped for itself`);
    }
    const message = JSON.stringify({
      signer_id: this.#signer.accountId,
      deadline: command.deadline,
      intents: [{ intent: "token_diff", diff: { [asset_in]: amount_in, [asset_out]: `-${amount_out}` } }],
    });
    const nonce = nonceV1(this.#salt, fromInstant(command.deadline), uniqueOf(command.command_id));
    const { data, hash } = signNep413(this.#signer, message, nonce, contract);
    const response = {
      quote_id,
      quote_output: exact === "in" ? { amount_out } : { amount_in },
      signed_data: data,
    };
    return {
      reference: { quote_id, quote_hash: hash, nonce: data.payload.nonce },
      symbols: [asset_in, asset_out],
      // Base units of two assets: nobody has told a price in money.
      notional: undefined,
      submit: (mayStillSend) => this.#submit(hash, response, fromInstant(command.deadline), mayStillSend),
    };
  }

  async #submit(
    quoteHash: string,
    response: object,
    deadline: number,
    mayStillSend: MayStillSend,
  ): Promise<Submission> {
    // Registered before sending: the news may come right behind the answer.
    this.#watches.set(quoteHash, new QuoteWatch());
    const answer = await this.#relay.request("quote_response", [response], deadline, mayStillSend);
    const submission = toSubmission(answer);
    if (submission.outcome === "rejected" || submission.outcome === "not_sent") {
      this.#watches.delete(quoteHash);
    }
    return submission;
  }

  async settle(
    command: ExecuteTrade,
    reference: VenueReference,
    missed: boolean,
    signal: AbortSignal,
  ): Promise<Settlement> {
    const quoteHash = reference["quote_hash"];
    if (quoteHash === undefined)
      throw new Error(`command ${command.command_id}: no quote_hash in the journal`);
    const watch = this.#watches.get(quoteHash) ?? new QuoteWatch();
    this.#watches.set(quoteHash, watch);
    watch.ask ||= missed;
    const deadline = fromInstant(command.deadline);
    const wake = (): void => watch.wake();
    signal.addEventListener("abort", wake);
    try {
      for (let pause = this.#pollMs; ;) {
        signal.throwIfAborted();
        const decided = deadline + (watch.used === undefined ? this.graceMs : this.#usedGraceMs);
        const isDecided = Date.now() >= decided;
        if (!watch.ask && !isDecided) {
          await watch.wait(Math.min(decided - Date.now(), longestTimerMs));
          continue;
        }
        watch.ask = false;
        const { used } = watch;
        // A signed intent is known by its own hash; once used, by that of the swap it became part of.
        const { status, data } = await this.#relay.status(used?.intentHash ?? quoteHash, signal);
        const found = referenceOf(used, data?.hash);
        if (status === "SETTLED") return filled(command, found);
        if (status === "NOT_FOUND_OR_NOT_VALID") {
          // The quote was used while the relay was asked: what it said was about something else.
          if (watch.used !== used) continue;
          if (isDecided) return expired(command, used !== undefined, found);
          // Nothing has come of it so far; the deadline, or news, decides.
          if (used === undefined) continue;
        }
        watch.ask = true;
        await watch.wait(pause);
        pause = Math.min(longestPollMs, pause * 2);
      }
    } finally {
      signal.removeEventListener("abort", wake);
      this.#watches.delete(quoteHash);
    }
  }

  close(): Promise<void> {
    return this.#relay.close();
  }
}

function toSubmission(answer: RelayAnswer): Submission {
  switch (answer.kind) {
    case "not_sent":
      return { outcome: "not_sent", reason: answer.reason };
    case "unanswered":
      return { outcome: "unknown", reason: { code: "no_answer", message: answer.message } };
    case "answered": {
      const { result, error } = answer.response;
      if (error !== undefined) return refusal(error);
      if (result === "OK") return { outcome: "accepted" };
      // Neither yes nor no: only the deadline or a settlement can tell.
      return {
        outcome: "unknown",
        reason: { code: "unexpected_answer", message: JSON.stringify(result ?? null).slice(0, 500) },
      };
    }
  }
}

/** Codes of JSON-RPC 2.0 for requests that were not understood, and so not carried out. */
const notUnderstood: ReadonlySet<number | undefined> = new Set([-32700, -32600, -32601, -32602]);

/**
 * What an error means. Only one that says that the offer was not taken is a refusal; whoever answers "internal error"
 * may have taken it, and a used nonce is the trace of an offer of ours that settled.
 */
function refusal({ code, message }: { code?: number | undefined; message: string }): Submission {
  const word = refusalCode(message);
  const isRefused = word !== undefined || notUnderstood.has(code);
  return isRefused
    ? { outcome: "rejected", reason: { code: word ?? "not_understood", message } }
    : { outcome: "unknown", reason: { code: "unclear_error", message } };
}

/** Refusals that the relay and the contract are known to give, by their words. */
const refusals: readonly (readonly [RegExp, string])[] = [
  [/not found or already finished/i, "quote_finished"],
  [/expired/i, "expired"],
  [/rate limit/i, "rate_limited"],
  [/invalid signature/i, "invalid_signature"],
  [/insufficient balance or overflow/i, "insufficient_balance"],
  [/public key doesn't exist/i, "unknown_public_key"],
  [/invalid salt/i, "invalid_salt"],
];

/** A fixed word for the relay's words; undefined for those that are not known to be a refusal. */
export function refusalCode(message: string): string | undefined {
  return refusals.find(([pattern]) => pattern.test(message))?.[1];
}

function referenceOf(used: QuoteUsed | undefined, txHash: string | null | undefined): VenueReference {
  const transaction = txHash ?? used?.txHash;
  return {
    ...(used === undefined ? {} : { intent_hash: used.intentHash }),
    ...(transaction === undefined ? {} : { tx_hash: transaction }),
  };
}

function filled(command: ExecuteTrade, reference: VenueReference): Settlement {
  const { amount_in, amount_out } = swapOf(command);
  return { status: "FILLED", filled: { kind: "swap", amount_in, amount_out }, reference };
}

function swapOf({ instruction }: ExecuteTrade) {
  if (instruction.kind === "answer_swap") return instruction;
  throw new RefusedCommandError("unsupported_instruction", `NEAR Intents has no ${instruction.kind}`);
}

function expired(command: ExecuteTrade, wasUsed: boolean, reference: VenueReference): Settlement {
  return {
    status: "EXPIRED",
    reason: wasUsed
      ? { code: "not_settled", message: "the quote was used, but did not settle" }
      : { code: "not_chosen", message: "the quote was not used before its deadline" },
    filled: nothingFilled(command),
    reference,
  };
}

/** Environment of the venue's executing side. */
export const nearExecutionVariables = {
  NEAR_RELAY_WEBSOCKET_URL: url("ws", "wss"),
  NEAR_RELAY_RPC_URL: url("http", "https"),
  NEAR_RELAY_TOKEN: text,
  NEAR_SIGNER_ID: text,
  NEAR_PRIVATE_KEY: z.string().refine((key) => {
    try {
      readSigner("", key);
      return true;
    } catch {
      return false;
    }
  }, "expected ed25519:<base58 of 64 bytes>, with both halves of one key"),
  NEAR_SALT: z.string().regex(/^[0-9a-f]{8}$/i, "expected 4 bytes as 8 hexadecimal digits"),
  /** See {@link NearVenueOptions.pollMs}. */
  NEAR_SETTLEMENT_POLL_MS: integer(1, longestPollMs).default(defaultPollMs),
};

/** Those of {@link nearExecutionVariables} that must never be logged. */
export const nearExecutionSecrets = ["NEAR_RELAY_TOKEN", "NEAR_PRIVATE_KEY"] as const;

/** Opens the venue from its environment. */
export function openNearVenue(
  context: Pick<ServiceContext, "logger" | "metrics" | "health">,
  config: z.output<z.ZodObject<typeof nearExecutionVariables>>,
): NearVenue {
  return new NearVenue({
    openRelay: (listener) =>
      new Relay({
        webSocketUrl: config.NEAR_RELAY_WEBSOCKET_URL,
        rpcUrl: config.NEAR_RELAY_RPC_URL,
        token: config.NEAR_RELAY_TOKEN,
        context,
        listener,
      }),
    signer: readSigner(config.NEAR_SIGNER_ID, config.NEAR_PRIVATE_KEY),
    salt: Buffer.from(config.NEAR_SALT, "hex"),
    pollMs: config.NEAR_SETTLEMENT_POLL_MS,
  });
}
