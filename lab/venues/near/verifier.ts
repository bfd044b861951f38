/** The checks of the Verifier contract on a signed intent, as far as token swaps need them. Simulated state, real cryptography. */
import { encodeBase58 } from "./base58.ts";
import { intentMessageSchema, type SignedData } from "./messages.ts";
import { nep413Hash, verifyEd25519 } from "./nep413.ts";
import { parseNonce } from "./nonce.ts";

/** An intent that is signed properly and may be settled, unless its nonce is used meanwhile. */
export interface VerifiedIntent {
  /** Base58 of the NEP-413 hash: what the relay calls the quote's or the intent's hash. */
  hash: string;
  signerId: string;
  /** 32 bytes in base64, in canonical form. */
  nonce: string;
  deadlineMs: number;
  /** Sum of all token_diff intents: positive is received, negative is given. */
  diff: ReadonlyMap<string, bigint>;
}

/** The intent, if its signature is good and it can be read, and why the contract would refuse it, if it would. */
export type Verdict =
  { intent: VerifiedIntent; reason?: undefined } | { intent?: VerifiedIntent; reason: string };

/** The contract's amounts are unsigned, of 128 bits. */
const largestAmount = 2n ** 128n - 1n;
const balanceReason = "insufficient balance or overflow";

/** The contract whose intents these are. */
const recipient = "intents.near";

/** The contract's state: keys, nonces, and balances as far as they are known. */
export class Verifier {
  readonly salt: string;
  readonly #keys = new Map<string, Set<string>>();
  readonly #usedNonces = new Map<string, Set<string>>();
  /** By account and asset; accounts that are not here have whatever they give. */
  readonly #balances = new Map<string, Map<string, bigint>>();

  /** @param salt four bytes in hexadecimal: what the contract's `current_salt` answers. */
  constructor(salt: string) {
    this.salt = salt;
  }

  /** Registers a public key ("ed25519:…") of an account. */
  addPublicKey(signerId: string, publicKey: string): void {
    const keys = this.#keys.get(signerId) ?? new Set();
    this.#keys.set(signerId, keys.add(publicKey));
  }

  /** From now on an account has these balances (base units by asset) and nothing else. */
  setBalances(signerId: string, balances: Readonly<Record<string, string>>): void {
    const amounts = Object.entries(balances).map(([asset, amount]) => [asset, BigInt(amount)] as const);
    this.#balances.set(signerId, new Map(amounts));
  }

  /** An account's balances, base units by asset; undefined when they don't matter. */
  balances(signerId: string): Readonly<Record<string, string>> | undefined {
    const balances = this.#balances.get(signerId);
    return balances && Object.fromEntries([...balances].map(([asset, amount]) => [asset, String(amount)]));
  }

  /** Why these intents together cannot be paid; undefined when they can. */
  shortfall(intents: readonly VerifiedIntent[]): string | undefined {
    const after = this.#after(intents);
    const isBad = (amount: bigint) => amount < 0n || amount > largestAmount;
    return [...after.values()].some((amounts) => [...amounts.values()].some(isBad))
      ? balanceReason
      : undefined;
  }

  /** Moves the tokens of these intents. */
  transfer(intents: readonly VerifiedIntent[]): void {
    for (const [signerId, amounts] of this.#after(intents)) this.#balances.set(signerId, amounts);
  }

  /** The limited balances that these intents would leave. */
  #after(intents: readonly VerifiedIntent[]): Map<string, Map<string, bigint>> {
    const after = new Map<string, Map<string, bigint>>();
    for (const { signerId, diff } of intents) {
      const before = after.get(signerId) ?? this.#balances.get(signerId);
      if (before !== undefined) after.set(signerId, sum([before, diff]));
    }
    return after;
  }

  /** Checks everything that can be checked before settlement. */
  verify(signed: SignedData, now: number): Verdict {
    const { payload } = signed;
    if (payload.recipient !== recipient) return { reason: `wrong recipient, expected ${recipient}` };
    const nonce = Buffer.from(payload.nonce, "base64");
    if (nonce.length !== 32) return { reason: "invalid nonce, expected 32 bytes in base64" };
    const hash = nep413Hash({ ...payload, nonce });
    if (!verifyEd25519(hash, signed.public_key, signed.signature)) return { reason: "invalid signature" };

    const message = parseMessage(payload.message);
    if (message === undefined) {
      return { reason: "invalid message, expected signer_id, deadline and token_diff intents" };
    }
    const signerId = message.signer_id;
    if (this.#keys.get(signerId)?.has(signed.public_key) !== true)
      return { reason: "public key doesn't exist" };

    const deadlineMs = Date.parse(message.deadline);
    const intent = {
      hash: encodeBase58(hash),
      signerId,
      nonce: nonce.toString("base64"),
      deadlineMs,
      diff: sum(message.intents.map(({ diff }) => diff)),
    };
    const versioned = parseNonce(nonce);
    if (versioned === undefined) return { intent, reason: "invalid nonce, expected version 1" };
    if (versioned.salt !== this.salt) return { intent, reason: "invalid salt" };
    if (deadlineMs > versioned.deadlineMs)
      return { intent, reason: "the intent's deadline is later than its nonce's" };
    if (deadlineMs <= now || versioned.deadlineMs <= now) return { intent, reason: "expired" };
    const isOverflow = (amount: bigint) => amount > largestAmount || -amount > largestAmount;
    if ([...intent.diff.values()].some(isOverflow)) return { intent, reason: balanceReason };
    return this.isNonceUsed(intent) ? { intent, reason: "nonce was already used" } : { intent };
  }

  isNonceUsed({ signerId, nonce }: VerifiedIntent): boolean {
    return this.#usedNonces.get(signerId)?.has(nonce) === true;
  }

  /** Marks the nonce as used: no other intent of this signer can settle with it. */
  useNonce({ signerId, nonce }: VerifiedIntent): void {
    const used = this.#usedNonces.get(signerId) ?? new Set();
    this.#usedNonces.set(signerId, used.add(nonce));
  }
}

function parseMessage(text: string) {
  try {
    return intentMessageSchema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

/** Adds token amounts asset by asset. */
export function sum(
  diffs: readonly (Readonly<Record<string, string>> | ReadonlyMap<string, bigint>)[],
): Map<string, bigint> {
  const total = new Map<string, bigint>();
  for (const diff of diffs) {
    const entries = diff instanceof Map ? [...diff] : Object.entries(diff);
    for (const [asset, amount] of entries as [string, string | bigint][]) {
      total.set(asset, (total.get(asset) ?? 0n) + BigInt(amount));
    }
  }
  return total;
}
