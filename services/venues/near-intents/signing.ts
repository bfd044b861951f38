/**
 * Signed intents for NEAR Intents: NEP-413 messages with Ed25519, and nonces of version 1. The nonce follows
 * from the command id, so the same command always gives the same bytes and can settle at most once.
 */
import { createHash, createPrivateKey, createPublicKey, sign, type KeyObject } from "node:crypto";
import { decodeBase58, encodeBase58 } from "./base58.ts";

/** A market maker's account on the contract and its key. */
export interface Signer {
  readonly accountId: string;
  /** `ed25519:<base58>`. */
  readonly publicKey: string;
  readonly privateKey: KeyObject;
}

/** What NEP-413 signs. */
export interface Nep413Payload {
  message: string;
  /** 32 bytes. */
  nonce: Buffer;
  /** Account of the contract that is to read it. */
  recipient: string;
  callbackUrl?: string | undefined;
}

/** Signed data as the relay and the contract take it. */
export interface SignedData {
  standard: "nep413";
  payload: { message: string; nonce: string; recipient: string };
  public_key: string;
  signature: string;
}

/** PKCS #8 wrapping of a raw Ed25519 seed (RFC 8410). */
const pkcs8Prefix = Buffer.from("302e020100300506032b657004220420", "hex");

/**
 * Reads a NEAR private key: `ed25519:` and base58 of the seed (32 bytes), with or without the public key behind it.
 * @throws Error that says what is wrong, without showing the key.
 */
export function readSigner(accountId: string, privateKey: string): Signer {
  if (!privateKey.startsWith("ed25519:")) throw new Error("a NEAR private key begins with ed25519:");
  const bytes = decodeBase58(privateKey.slice("ed25519:".length));
  if (bytes.length !== 64 && bytes.length !== 32) {
    throw new Error(`a NEAR private key has 64 or 32 bytes, this one has ${bytes.length}`);
  }
  const key = createPrivateKey({
    key: Buffer.concat([pkcs8Prefix, bytes.subarray(0, 32)]),
    format: "der",
    type: "pkcs8",
  });
  const publicBytes = createPublicKey(key).export({ format: "der", type: "spki" }).subarray(-32);
  if (bytes.length === 64 && !publicBytes.equals(bytes.subarray(32))) {
    throw new Error("the public half of the NEAR private key does not belong to its private half");
  }
  return { accountId, publicKey: `ed25519:${encodeBase58(publicBytes)}`, privateKey: key };
}

function borshString(text: string): Buffer {
  const bytes = Buffer.from(text, "utf8");
  const length = Buffer.alloc(4);
  length.writeUInt32LE(bytes.length);
  return Buffer.concat([length, bytes]);
}

/** SHA-256 of the NEP-413 serialization: what is signed, and (as base58) what the contract calls the intent. */
export function nep413Hash(payload: Nep413Payload): Buffer {
  if (payload.nonce.length !== 32)
    throw new Error(`a nonce has 32 bytes, this one has ${payload.nonce.length}`);
  const tag = Buffer.alloc(4);
  tag.writeUInt32LE(2 ** 31 + 413);
  return createHash("sha256")
    .update(tag)
    .update(borshString(payload.message))
    .update(payload.nonce)
    .update(borshString(payload.recipient))
    .update(
      payload.callbackUrl === undefined
        ? Buffer.from([0])
        : Buffer.concat([Buffer.from([1]), borshString(payload.callbackUrl)]),
    )
    .digest();
}

const nonceMagic = Buffer.from("5628f6c6", "hex");
const nonceVersion = Buffer.from([0]);

/**
 * A nonce of version 1: magic, version, salt, deadline in nanoseconds, and what makes it unique.
 * @param salt 4 bytes, the contract's `current_salt`.
 * @param deadlineMs milliseconds since the epoch; the intent's deadline must not be later.
 * @param unique 15 bytes.
 */
export function nonceV1(salt: Buffer, deadlineMs: number, unique: Buffer): Buffer {
  const deadline = Buffer.alloc(8);
  deadline.writeBigInt64LE(BigInt(deadlineMs) * 1_000_000n);
  const nonce = Buffer.concat([nonceMagic, nonceVersion, salt, deadline, unique]);
  if (salt.length !== 4 || unique.length !== 15) {
    throw new Error(`a nonce takes 4 and 15 bytes, these are ${salt.length} and ${unique.length}`);
  }
  return nonce;
}

/** The 15 bytes of a command's nonce: the same command always has the same nonce, which settles at most once. */
export function uniqueOf(commandId: string): Buffer {
  return createHash("sha256").update(`near-intents nonce ${commandId}`).digest().subarray(0, 15);
}

/** Signs a message for `recipient`. @returns the signed data and its hash in base58. */
export function signNep413(
  signer: Signer,
  message: string,
  nonce: Buffer,
  recipient: string,
): { data: SignedData; hash: string } {
  const digest = nep413Hash({ message, nonce, recipient });
  const signature = sign(null, digest, signer.privateKey);
  return {
    data: {
      standard: "nep413",
      payload: { message, nonce: nonce.toString("base64"), recipient },
      public_key: signer.publicKey,
      signature: `ed25519:${encodeBase58(signature)}`,
    },
    hash: encodeBase58(digest),
  };
}
