/** Which address is to be let in: always exactly one. */
import { BlockList, isIP, isIPv4 } from "node:net";
import { UsageError } from "../run.ts";

/** Answers with the caller's IPv4 address as plain text; run by Amazon, asked over HTTPS. */
export const defaultAddressService = "https://checkip.amazonaws.com";

const timeoutMs = 10_000;

/** The service gave no address that can be trusted. */
export class AddressError extends Error {
  override readonly name = "AddressError";

  constructor(service: string, reason: string) {
    super(
      `The address of this machine could not be learnt from ${service}: ${reason}. ` +
        "Name the address with --address, or another service with --address-service.",
    );
  }
}

/** Addresses that nobody has on the internet: RFC 6890. */
const notPublic = new BlockList();
for (const [network, prefix] of [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.0.2.0", 24],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["198.51.100.0", 24],
  ["203.0.113.0", 24],
  ["224.0.0.0", 3],
] as const)
  notPublic.addSubnet(network, prefix, "ipv4");

/**
 * Reads an address that a person names.
 * @param text an address, or it with `/32` or `/128`
 * @returns as a network of this one address
 * @throws UsageError when it is none, or more than one
 */
export function parseAddress(text: string): string {
  const [address = "", prefix, ...more] = text.split("/");
  const version = isIP(address);
  const whole = version === 4 ? "32" : "128";
  const isUnspecified = /^[0:.]+$/.test(address);
  if (version === 0 || isUnspecified || more.length > 0 || (prefix !== undefined && prefix !== whole))
    throw new UsageError(
      `--address: found ${JSON.stringify(text)}, expected one address, such as 198.51.100.7 (networks belong into trading:adminCidrs)`,
    );
  return `${address}/${whole}`;
}

/** Where to ask for the caller's address. @throws UsageError unless it is HTTPS, or HTTP on this machine */
export function parseAddressService(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isHere = url !== undefined && /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/.test(url.hostname);
  if (url?.protocol === "https:" || (isHere && url.protocol === "http:")) return url;
  throw new UsageError(
    `The address service: found ${JSON.stringify(text)}, expected a URL that starts with https:// (http:// only for an address on this machine)`,
  );
}

/**
 * Asks a service with which address this machine reaches the internet. The answer decides who is let in, so it must be
 * one public IPv4 address and nothing else: the cluster's servers have no other.
 * @returns as a network of this one address
 * @throws AddressError
 */
export async function ownAddress(service: URL, signal: AbortSignal): Promise<string> {
  const fail = (reason: string) => new AddressError(service.href, reason);
  let text: string;
  try {
    const response = await fetch(service, {
      redirect: "error",
      headers: { accept: "text/plain" },
      signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
    });
    if (!response.ok) throw new Error(`it answers with status ${response.status}`);
    text = (await response.text()).trim();
  } catch (error) {
    signal.throwIfAborted();
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    throw fail(cause instanceof Error ? cause.message : String(cause));
  }
  if (!isIPv4(text)) throw fail(`it answers ${JSON.stringify(text.slice(0, 60))}, expected one IPv4 address`);
  // A service on this machine is the lab's or a test's, and sees loopback addresses.
  if (service.protocol === "https:" && notPublic.check(text))
    throw fail(`it answers ${text}, which is no public address`);
  return `${text}/32`;
}
