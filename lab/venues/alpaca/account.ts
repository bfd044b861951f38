/** The lab's Alpaca account: its credentials, and the codes of the venue that concern them. */
import { randomBytes } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";

/** Throwaway credentials, made at each start, in the form of real ones. */
export interface Credentials {
  /** 20 characters that begin with PK, as paper keys do. */
  keyId: string;
  /** 40 characters. */
  secret: string;
}

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const characters = (count: number) =>
  [...randomBytes(count)].map((byte) => alphabet.charAt(byte % alphabet.length)).join("");

export function makeCredentials(): Credentials {
  return { keyId: `PK${characters(18)}`, secret: characters(40) };
}

/** The header pair that REST and the handshakes take. */
export function headerCredentials(
  headers: IncomingHttpHeaders,
): { keyId: unknown; secret: unknown } | undefined {
  const keyId = headers["apca-api-key-id"];
  const secret = headers["apca-api-secret-key"];
  return keyId === undefined && secret === undefined ? undefined : { keyId, secret };
}

export function isSame(own: Credentials, given: { keyId: unknown; secret: unknown }): boolean {
  return own.keyId === given.keyId && own.secret === given.secret;
}
