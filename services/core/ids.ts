/**
 * Event ids. A raw id names the feed session and the position in it, so two identical quotes are two
 * events; every derived id is a UUIDv5 of what caused the event, so reprocessing yields the same id.
 */
import { hash, randomUUID } from "node:crypto";

/** Namespace of all ids of this system: an arbitrary UUID that must never change. */
const namespace = "8f0b7a52-6a3e-5d0c-9a3b-2f1f6d0f4c11";

/** The 16 bytes of a UUID's text. */
const bytesOf = (id: string): Buffer => Buffer.from(id.replaceAll("-", ""), "hex");

const namespaceBytes = bytesOf(namespace);

/**
 * UUID version 5 (RFC 9562 §5.5): the first 16 bytes of SHA-1(namespace ‖ name), with version and variant set.
 * @param name any text; hashed as UTF-8.
 * @param namespaceId a UUID in its text form.
 */
export function uuidV5(name: string, namespaceId: string = namespace): string {
  const prefix = namespaceId === namespace ? namespaceBytes : bytesOf(namespaceId);
  // In one call: a hash object would cost more than the hashing.
  const hex = hash("sha1", Buffer.concat([prefix, Buffer.from(name, "utf8")]), "hex");
  const variant = ((parseInt(hex.charAt(16), 16) & 0x3) | 0x8).toString(16);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-5${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

/** Joins parts so that different lists never give the same text. */
function joined(parts: readonly string[]): string {
  return JSON.stringify(parts);
}

/** A new session id: random, one per connection to a feed. */
export function newSessionId(): string {
  return randomUUID();
}

/**
 * Id of a raw event.
 * @param sessionId from {@link newSessionId}.
 * @param sequence position in the session, from 0.
 */
export function rawEventId(sessionId: string, sequence: number): string {
  return uuidV5(joined(["raw", sessionId, String(sequence)]));
}

/**
 * Id of an event that `causationId` caused.
 * @param eventType type of the new event.
 * @param causationId id of the event (or command) that caused it.
 * @param discriminators what tells several events of one type and cause apart, for example the strategy's name.
 */
export function derivedEventId(
  eventType: string,
  causationId: string,
  ...discriminators: readonly string[]
): string {
  return uuidV5(joined(["derived", eventType, causationId, ...discriminators]));
}
