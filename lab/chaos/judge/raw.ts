/**
 * The judge of promise 2's first half: every raw event that brokers acknowledged is there, once. What was acknowledged
 * nobody knows from outside, but two things are known: what an independent reader ever saw, and that a session's
 * events are numbered and written in order per partition. So a hole may only be at the end of what a killed ingestor
 * wrote to a partition.
 */
import { canaryMessageType, type RawMessage } from "../../../services/core/market-data.ts";
import type { Event } from "../../../services/core/envelope.ts";
import type { Placed } from "./decode.ts";
import { type Finding, groupBy } from "./finding.ts";

/** What is judged: one raw topic. */
export interface RawEvidence {
  topic: string;
  /** The topic at the end, canaries included. */
  events: readonly Placed<Event<RawMessage>>[];
  /** Ids of events that the tap saw at any time. */
  seen: ReadonlySet<string>;
  /** When its ingestor was killed, milliseconds since the epoch. */
  kills: readonly number[];
  /** Position of a message among all that the venue sent, from its text; undefined when it cannot be told. */
  positionOf: (text: string) => number | undefined;
  /** The partition of the message at a position, as far as it is known; undefined otherwise. */
  keyAt: (position: number) => string | undefined;
}

export interface RawVerdict {
  /** Distinct events, canaries left out. */
  events: number;
  sessions: number;
  /** Events that are there more than once. */
  duplicates: Finding[];
  /** Events that were visible once and are gone, and holes that no kill explains. */
  lost: Finding[];
  /** Holes that a kill explains: never acknowledged. */
  unacknowledged: number;
}

/** Longest time that a record may wait for its acknowledgement before the ingestor is killed, in milliseconds. */
const longestFlightMs = 60_000;

/** Judges one raw topic. */
export function judgeRaw(evidence: RawEvidence): RawVerdict {
  const events = evidence.events.filter(({ event }) => event.payload.message_type !== canaryMessageType);
  const byId = groupBy(events, ({ event }) => event.event_id);
  const verdict: RawVerdict = {
    events: byId.size,
    sessions: 0,
    duplicates: [],
    lost: [],
    unacknowledged: 0,
  };
  for (const [id, own] of byId) {
    if (own.length === 1) continue;
    verdict.duplicates.push({
      what: "raw_twice",
      subject: id,
      detail: own
        .map(({ record }) => `${record.topic} ${record.partition} offset ${record.offset}`)
        .join(", "),
    });
  }
  const present = new Set(evidence.events.map(({ event }) => event.event_id));
  for (const id of evidence.seen) {
    if (present.has(id)) continue;
    verdict.lost.push({
      what: "raw_vanished",
      subject: id,
      detail: `${evidence.topic}: was visible, is gone`,
    });
  }
  const partitionOfKey = new Map<string, number>();
  for (const { event, record } of events) {
    const position = evidence.positionOf(event.raw ?? "");
    const key = position === undefined ? undefined : evidence.keyAt(position);
    if (key !== undefined) partitionOfKey.set(key, record.partition);
  }
  const sessions = groupBy(events, ({ event }) => event.payload.session_id);
  verdict.sessions = sessions.size;
  for (const [session, own] of sessions) judgeSession(session, own, evidence, partitionOfKey, verdict);
  return verdict;
}

function judgeSession(
  session: string,
  events: readonly Placed<Event<RawMessage>>[],
  { topic, kills, positionOf, keyAt }: RawEvidence,
  partitionOfKey: ReadonlyMap<string, number>,
  verdict: RawVerdict,
): void {
  const bySequence = new Map(events.map((placed) => [placed.event.payload.sequence, placed]));
  const last = Math.max(...bySequence.keys());
  if (bySequence.size === last + 1) return;
  /** Last sequence of the session in each partition. */
  const ends = new Map<number, number>();
  for (const [sequence, { record }] of bySequence)
    ends.set(record.partition, Math.max(sequence, ends.get(record.partition) ?? -1));
  const [first] = bySequence.values();
  const firstPosition = first === undefined ? undefined : positionOf(first.event.raw ?? "");
  const base =
    first === undefined || firstPosition === undefined
      ? undefined
      : firstPosition - first.event.payload.sequence;
  let next = bySequence.get(last);
  for (let sequence = last; sequence >= 0; sequence--) {
    const found = bySequence.get(sequence);
    if (found !== undefined) {
      next = found;
      continue;
    }
    // Taken in at the latest when the one behind it was.
    const takenAt = Date.parse(next?.event.ingested_at ?? "");
    const wasKilled = kills.some((kill) => kill >= takenAt && kill - takenAt <= longestFlightMs);
    const key = base === undefined ? undefined : keyAt(base + sequence);
    const partition = key === undefined ? undefined : partitionOfKey.get(key);
    const isTail = partition === undefined || sequence > (ends.get(partition) ?? -1);
    if (wasKilled && isTail) {
      verdict.unacknowledged++;
      continue;
    }
    verdict.lost.push({
      what: "raw_hole",
      subject: `${session}/${sequence}`,
      detail: wasKilled
        ? `${topic} ${String(partition)} has a later event of the session`
        : `${topic}: missing although its ingestor was not killed; the session goes on to ${last}`,
    });
  }
}
