/** CRC-32C (Castagnoli), the checksum of Kafka's record batches; Node has only the other CRC-32. */

/** The polynomial 0x1edc6f41 with its bits in reverse order (RFC 3720, appendix B.4). */
const polynomial = 0x82f63b78;

/** Slicing by 4: the n-th 256 entries hold what a byte does to the checksum n bytes later. */
const table = makeTable();

function makeTable(): Int32Array {
  const made = new Int32Array(4 * 256);
  for (let byte = 0; byte < 256; byte++) {
    let value = byte;
    for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ polynomial : value >>> 1;
    made[byte] = value;
  }
  for (let index = 256; index < made.length; index++) {
    const before = made[index - 256] as number;
    made[index] = (before >>> 8) ^ (made[before & 0xff] as number);
  }
  return made;
}

/** @returns the checksum, 32 bits, unsigned. */
export function crc32c(bytes: Buffer): number {
  let checksum = -1;
  let index = 0;
  for (const whole = bytes.length & ~3; index < whole; index += 4) {
    checksum ^=
      (bytes[index] as number) |
      ((bytes[index + 1] as number) << 8) |
      ((bytes[index + 2] as number) << 16) |
      ((bytes[index + 3] as number) << 24);
    checksum =
      (table[768 + (checksum & 0xff)] as number) ^
      (table[512 + ((checksum >>> 8) & 0xff)] as number) ^
      (table[256 + ((checksum >>> 16) & 0xff)] as number) ^
      (table[checksum >>> 24] as number);
  }
  for (; index < bytes.length; index++) {
    checksum = (checksum >>> 8) ^ (table[(checksum ^ (bytes[index] as number)) & 0xff] as number);
  }
  return ~checksum >>> 0;
}
