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

/** Either the intent or why the contract would refuse it; the hash is there once the signature was found good. */
export type Verdict = { intent: VerifiedIntent } | { reason: string; hash?: string };

/** The contract whose intents these are. */
const recipient = "intents.near";

/** The part of the contract's state that concerns signatures and nonces. */
export class Verifier {
  readonly salt: string;
  readonly #keys = new Map<string, Set<string>>();
  readonly #usedNonces = new Map<string, Set<string>>();

  /** @param salt four bytes in hexadecimal: what the contract's `current_salt` answers. */
  constructor(salt: string) {
    this.salt = salt;
  }

  /** Registers a public key ("ed25519:…") of an account. */
  addPublicKey(signerId: string, publicKey: string): void {
    const keys = this.#keys.get(signerId) ?? new Set();
    this.#keys.set(signerId, keys.add(publicKey));
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

    const versioned = parseNonce(nonce);
    if (versioned === undefined) return { reason: "invalid nonce, expected version 1" };
    if (versioned.salt !== this.salt) return { reason: "invalid salt" };
    const deadlineMs = Date.parse(message.deadline);
    if (deadlineMs > versioned.deadlineMs)
      return { reason: "the intent's deadline is later than its nonce's" };
    if (deadlineMs <= now || versioned.deadlineMs <= now) return { reason: "expired" };

    const intent = {
      hash: encodeBase58(hash),
      signerId,
      nonce: nonce.toString("base64"),
      deadlineMs,
      diff: sum(message.intents.map(({ diff }) => diff)),
    };
    return this.isNonceUsed(intent) ? { reason: "nonce was already used", hash: intent.hash } : { intent };
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
