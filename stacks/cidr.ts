import net from "node:net";

/** A network in CIDR notation, taken apart. */
export interface Cidr {
  family: 4 | 6;
  /** Length of the network prefix in bits: 0–32 (IPv4) or 0–128 (IPv6). */
  prefix: number;
  /** Whether the bits behind the prefix are all zero, as the Hetzner firewall demands. */
  hostBitsAreZero: boolean;
}

/** The 16-bit groups of a valid IPv6 address, or the bytes of a valid IPv4 address, as one number. */
function addressBits(address: string): bigint {
  if (net.isIPv4(address)) {
    return address.split(".").reduce((bits, byte) => (bits << 8n) | BigInt(byte), 0n);
  }
  // A dotted tail (::ffff:192.0.2.1) is two groups written in decimal.
  const plain = address.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_match, a, b, c, d) =>
    [Number(a) * 256 + Number(b), Number(c) * 256 + Number(d)].map((group) => group.toString(16)).join(":"),
  );
  const [head = "", tail] = plain.split("::");
  const groups = (text: string) => (text === "" ? [] : text.split(":"));
  const left = groups(head);
  const right = groups(tail ?? "");
  const zeros = tail === undefined ? [] : new Array<string>(8 - left.length - right.length).fill("0");
  return [...left, ...zeros, ...right].reduce((bits, group) => (bits << 16n) | BigInt(`0x${group}`), 0n);
}

/**
 * Reads `address/prefix`.
 * @returns undefined when the text is not a network in CIDR notation (a bare address is not).
 */
export function parseCidr(text: string): Cidr | undefined {
  const match = /^([0-9a-fA-F.:]+)\/(\d{1,3})$/.exec(text);
  if (match?.[1] === undefined || match[2] === undefined) return undefined;
  const family = net.isIP(match[1]);
  if (family !== 4 && family !== 6) return undefined;
  const bits = family === 4 ? 32 : 128;
  const prefix = Number(match[2]);
  if (prefix > bits) return undefined;
  const hostBits = addressBits(match[1]) & ((1n << BigInt(bits - prefix)) - 1n);
  return { family, prefix, hostBitsAreZero: hostBits === 0n };
}
