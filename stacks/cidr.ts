import net from "node:net";

/** A network in CIDR notation, taken apart. */
export interface Cidr {
  family: 4 | 6;
  /** Length of the network prefix in bits: 0–32 (IPv4) or 0–128 (IPv6). */
  prefix: number;
  /** Whether the bits behind the prefix are all zero, as the Hetzner firewall demands. */
  hostBitsAreZero: boolean;
  /** The first address as a number; bits behind the prefix do not count. */
  first: bigint;
  /** The last address as a number. */
  last: bigint;
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
  const address = addressBits(match[1]);
  const hostBits = (1n << BigInt(bits - prefix)) - 1n;
  return {
    family,
    prefix,
    hostBitsAreZero: (address & hostBits) === 0n,
    first: address & ~hostBits,
    last: address | hostBits,
  };
}

/** Where hosts of the internet have their addresses: all of IPv4, and what IPv6 has given out (RFC 4291: 2000::/3). */
const internet = {
  4: { first: 0n, last: (1n << 32n) - 1n },
  6: { first: 1n << 125n, last: (1n << 126n) - 1n },
} as const;

/**
 * A set of networks is as good as the whole internet when it covers more than this part of it, as one divided by the
 * number. No organisation has as much: the largest holds 13 of the 256 networks of length 8.
 */
const partOfInternet = 16n;

/**
 * Whether networks together cover so much of the internet that they are no limit: more than a sixteenth of IPv4, or of
 * IPv6's global addresses. Counted as a union, so that neither halves (`0.0.0.0/1` and `128.0.0.0/1`) nor many small
 * pieces pass, and what is named twice counts once.
 */
export function coverTheInternet(networks: readonly Cidr[]): boolean {
  return ([4, 6] as const).some((family) => {
    const { first, last } = internet[family];
    const clipped = networks
      .filter((network) => network.family === family && network.first <= last && network.last >= first)
      .map((network) => ({
        first: network.first < first ? first : network.first,
        last: network.last > last ? last : network.last,
      }))
      .sort((one, other) => (one.first < other.first ? -1 : one.first > other.first ? 1 : 0));
    let covered = 0n;
    let next = first;
    for (const network of clipped) {
      const from = network.first > next ? network.first : next;
      if (network.last < from) continue;
      covered += network.last - from + 1n;
      next = network.last + 1n;
    }
    return covered * partOfInternet > last - first + 1n;
  });
}
