/** Base58 with Bitcoin's alphabet, as NEAR writes keys, signatures and hashes. */

const alphabet = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
const values = new Map([...alphabet].map((character, value) => [character, value]));

/** Bytes as base58 text; each leading zero byte is a `1`. */
export function encodeBase58(bytes: Uint8Array): string {
  const digits: number[] = [];
  for (const byte of bytes) {
    let carry = byte;
    for (let index = 0; index < digits.length; index += 1) {
      carry += (digits[index] as number) << 8;
      digits[index] = carry % 58;
      carry = Math.floor(carry / 58);
    }
    while (carry > 0) {
      digits.push(carry % 58);
      carry = Math.floor(carry / 58);
    }
  }
  let zeros = 0;
  while (bytes[zeros] === 0) zeros += 1;
  return (
    "1".repeat(zeros) +
    digits
      .reverse()
      .map((digit) => alphabet[digit])
      .join("")
  );
}

/** Reads base58 text. @throws Error that names the character that is none of the alphabet. */
export function decodeBase58(text: string): Buffer {
  const bytes: number[] = [];
  for (const [position, character] of [...text].entries()) {
    const value = values.get(character);
    // The text may be a private key: only the position is told.
    if (value === undefined) throw new Error(`not base58: character ${position + 1}`);
    let carry = value;
    for (let index = 0; index < bytes.length; index += 1) {
      carry += (bytes[index] as number) * 58;
      bytes[index] = carry & 0xff;
      carry >>= 8;
    }
    while (carry > 0) {
      bytes.push(carry & 0xff);
      carry >>= 8;
    }
  }
  let zeros = 0;
  while (text[zeros] === "1") zeros += 1;
  return Buffer.concat([Buffer.alloc(zeros), Buffer.from(bytes.reverse())]);
}
