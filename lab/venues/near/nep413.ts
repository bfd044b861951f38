/**
 * NEP-413 signatures as the Verifier contract checks them. Written for the judge's side on purpose, not shared with
 * the services: an error in their signing must not be repeated here.
 */
import { createHash, createPrivateKey, createPublicKey, type KeyObject, sign, verify } from "node:crypto";
import { decodeBase58, encodeBase58 } from "./base58.ts";

/** What NEP-413 signs. */
export interface Nep413Payload {
  message: string;
  /** 32 bytes. */
  nonce: Uint8Array;
  recipient: string;
  callbackUrl?: string | undefined;
}

/** Borsh: a string is its length in bytes (u32, little-endian) and its UTF-8 bytes. */
function borshString(text: string): Buffer {
  const bytes = Buffer.from(text, "utf8");
  const length = Buffer.alloc(4);
  length.writeUInt32LE(bytes.length);
  return Buffer.concat([length, bytes]);
}

/** The 32-byte hash that is signed: sha256(borsh u32 (2^31 + 413) ‖ borsh payload). */
export function nep413Hash({ message, nonce, recipient, callbackUrl }: Nep413Payload): Buffer {
  const tag = Buffer.alloc(4);
  tag.writeUInt32LE(2 ** 31 + 413);
  const option =
    callbackUrl === undefined
      ? Buffer.from([0])
      : Buffer.concat([Buffer.from([1]), borshString(callbackUrl)]);
  return createHash("sha256")
    .update(Buffer.concat([tag, borshString(message), nonce, borshString(recipient), option]))
    .digest();
}

/** ASN.1 frames that turn raw ed25519 keys into what Node's crypto imports (RFC 8410). */
const spkiPrefix = Buffer.from("302a300506032b6570032100", "hex");
const pkcs8Prefix = Buffer.from("302e020100300506032b657004220420", "hex");

const parse = (text: string, length: number): Uint8Array | undefined => {
  const bytes = text.startsWith("ed25519:") ? decodeBase58(text.slice("ed25519:".length)) : undefined;
  return bytes?.length === length ? bytes : undefined;
};

/**
 * @param publicKey "ed25519:" and 32 bytes in base58.
 * @param signature "ed25519:" and 64 bytes in base58.
 * @returns false also for texts that are no key or no signature.
 */
export function verifyEd25519(hash: Uint8Array, publicKey: string, signature: string): boolean {
  const rawKey = parse(publicKey, 32);
  const rawSignature = parse(signature, 64);
  if (rawKey === undefined || rawSignature === undefined) return false;
  const key = createPublicKey({ key: Buffer.concat([spkiPrefix, rawKey]), format: "der", type: "spki" });
  return verify(null, hash, key, rawSignature);
}

/** A key pair as NEAR writes it. */
export interface NearKeyPair {
  /** "ed25519:" and the public key's 32 bytes in base58. */
  publicKey: string;
  /** "ed25519:" and 64 bytes in base58: the secret seed, then the public key. */
  privateKey: string;
}

/** @param seed 32 secret bytes. */
export function nearKeyPair(seed: Uint8Array): NearKeyPair {
  const publicBytes = createPublicKey(privateKeyOf(seed))
    .export({ format: "der", type: "spki" })
    .subarray(-32);
  return {
    publicKey: `ed25519:${encodeBase58(publicBytes)}`,
    privateKey: `ed25519:${encodeBase58(Buffer.concat([seed, publicBytes]))}`,
  };
}

function privateKeyOf(seed: Uint8Array): KeyObject {
  return createPrivateKey({ key: Buffer.concat([pkcs8Prefix, seed]), format: "der", type: "pkcs8" });
}

/** Signs as a wallet does; the lab's own tests and test users need it. */
export function signEd25519(hash: Uint8Array, privateKey: string): string {
  const bytes = parse(privateKey, 64);
  if (bytes === undefined) throw new TypeError("the private key is not ed25519: and 64 bytes in base58");
  return `ed25519:${encodeBase58(sign(null, hash, privateKeyOf(bytes.subarray(0, 32))))}`;
}
