/** IPv4 addresses and ranges as numbers, and the check of any range a firewall rule names. */
import { isIPv4, isIPv6 } from "node:net";

/** A range: its first address and the number of leading bits. */
export interface Range {
  readonly first: number;
  readonly bits: number;
}

/** @returns the address as an unsigned number, or undefined when `text` is no IPv4 address. */
export function parseAddress(text: string): number | undefined {
  if (!isIPv4(text)) return undefined;
  return text.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
}

export function formatAddress(address: number): string {
  return [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join(".");
}

export function rangeSize(range: Range): number {
  return 2 ** (32 - range.bits);
}

/** @returns the range, or undefined when `text` is no IPv4 range or has bits set behind the mask. */
export function parseRange(text: string): Range | undefined {
  const [, address = "", mask = ""] = /^([\d.]+)\/(\d{1,2})$/.exec(text) ?? [];
  const first = parseAddress(address);
  const bits = Number(mask);
  if (first === undefined || bits > 32) return undefined;
  return first % 2 ** (32 - bits) === 0 ? { first, bits } : undefined;
}

export function formatRange(range: Range): string {
  return `${formatAddress(range.first)}/${range.bits}`;
}

export function lastAddress(range: Range): number {
  return range.first + rangeSize(range) - 1;
}

export function containsAddress(range: Range, address: number): boolean {
  return address >= range.first && address <= lastAddress(range);
}

export function containsRange(outer: Range, inner: Range): boolean {
  return outer.first <= inner.first && lastAddress(inner) <= lastAddress(outer);
}

export function overlaps(one: Range, other: Range): boolean {
  return one.first <= lastAddress(other) && other.first <= lastAddress(one);
}

/** The private ranges of RFC 1918, in which networks must be. */
export const privateRanges: readonly Range[] = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"].map(
  (text) => {
    const range = parseRange(text);
    if (range === undefined) throw new Error(`${text} is no range`);
    return range;
  },
);

/** The 128 bits of an IPv6 address. */
function ipv6Bits(text: string): bigint {
  const [head = "", tail] = text.split("::");
  const groups = (part: string | undefined) => (part === undefined || part === "" ? [] : part.split(":"));
  const left = groups(head);
  const right = groups(tail);
  const all = [...left, ...Array.from({ length: 8 - left.length - right.length }, () => "0"), ...right];
  return all.reduce((sum, group) => (sum << 16n) | BigInt(`0x${group}`), 0n);
}

/** Whether `text` is an IPv4 or IPv6 range with no bit set behind its mask, as firewall rules demand. */
export function isNetworkRange(text: string): boolean {
  const [address = "", mask = "", ...rest] = text.split("/");
  if (rest.length > 0 || !/^\d{1,3}$/.test(mask)) return false;
  if (isIPv4(address)) return parseRange(text) !== undefined;
  const bits = Number(mask);
  if (!isIPv6(address) || address.includes(".") || bits > 128) return false;
  return ipv6Bits(address) % (1n << BigInt(128 - bits)) === 0n;
}
