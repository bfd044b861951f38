/** Nonces of version 1: they carry a salt and a deadline, so that the contract may forget them after it. */

/** The first four bytes, sha256("versioned_nonce") cut short, and the version's byte. */
const magic = Buffer.from("5628f6c600", "hex");

/** What a nonce says. */
export interface VersionedNonce {
  /** Four bytes in hexadecimal, lower case. */
  salt: string;
  deadlineMs: number;
}

/** @returns undefined when the 32 bytes are no nonce of version 1. */
export function parseNonce(nonce: Buffer): VersionedNonce | undefined {
  if (nonce.length !== 32 || !nonce.subarray(0, 5).equals(magic)) return undefined;
  return {
    salt: nonce.subarray(5, 9).toString("hex"),
    deadlineMs: Number(nonce.readBigInt64LE(9) / 1_000_000n),
  };
}

/**
 * Makes a nonce; for the lab's tests and test users.
 * @param random 15 bytes.
 */
export function makeNonce({ salt, deadlineMs }: VersionedNonce, random: Uint8Array): Buffer {
  const deadline = Buffer.alloc(8);
  deadline.writeBigInt64LE(BigInt(deadlineMs) * 1_000_000n);
  const nonce = Buffer.concat([magic, Buffer.from(salt, "hex"), deadline, random]);
  if (nonce.length !== 32)
    throw new RangeError("a nonce needs a salt of 8 hexadecimal digits and 15 random bytes");
  return nonce;
}
