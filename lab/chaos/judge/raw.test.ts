import assert from "node:assert/strict";
import { test } from "node:test";
import { newEvent } from "../../../services/core/events.ts";
import { rawEventId } from "../../../services/core/ids.ts";
import { judgeRaw, type RawEvidence } from "./raw.ts";

const session = "0b0a5be2-8a0e-4b3c-9f63-7d5f6d5d9c3a";
const start = Date.parse("2025-10-14T14:00:00.000Z");

/** The n-th message of the session, which is about asset n mod 3 and so in that partition. */
function placed(sequence: number, offset = sequence) {
  const at = new Date(start + sequence * 100).toISOString();
  return {
    event: newEvent("raw.near-intents.quote", {
      event_id: rawEventId(session, sequence),
      venue: "near-intents",
      observed_at: at,
      ingested_at: at,
      payload: { session_id: session, sequence, message_type: "quote" },
      raw: String(sequence + 40),
    }),
    record: {
      topic: "raw",
      partition: sequence % 3,
      offset: String(offset),
      timestamp: String(start),
      key: null,
      headers: [],
      value: null,
    },
  };
}

const numbers = (count: number) => Array.from({ length: count }, (_, index) => index);
const evidence = (sequences: readonly number[], kills: readonly number[] = []): RawEvidence => ({
  topic: "raw",
  events: sequences.map((sequence) => placed(sequence)),
  seen: new Set(sequences.map((sequence) => rawEventId(session, sequence))),
  kills,
  positionOf: (text) => Number(text),
  keyAt: (position) => `asset ${(position - 40) % 3}`,
});

test("a session without holes is no finding", () => {
  const verdict = judgeRaw(evidence(numbers(30)));
  assert.deepEqual([verdict.events, verdict.sessions, verdict.unacknowledged], [30, 1, 0]);
  assert.deepEqual([...verdict.lost, ...verdict.duplicates], []);
});

test("an event that is there twice, and one that was there and is gone, are found", () => {
  const twice = { ...evidence(numbers(5)), events: [...numbers(5).map((n) => placed(n)), placed(2, 99)] };
  assert.deepEqual(
    judgeRaw(twice).duplicates.map(({ subject }) => subject),
    [rawEventId(session, 2)],
  );
  const gone = { ...evidence(numbers(5)), seen: new Set(numbers(6).map((n) => rawEventId(session, n))) };
  assert.deepEqual(
    judgeRaw(gone).lost.map(({ what, subject }) => [what, subject]),
    [["raw_vanished", rawEventId(session, 5)]],
  );
});

test("a hole needs a killed ingestor", () => {
  const sequences = numbers(30).filter((n) => n !== 28);
  assert.deepEqual(
    judgeRaw(evidence(sequences)).lost.map(({ what }) => what),
    ["raw_hole"],
  );
  const killed = judgeRaw(evidence(sequences, [start + 5_000]));
  assert.deepEqual([killed.lost.length, killed.unacknowledged], [0, 1]);
  assert.equal(judgeRaw(evidence(sequences, [start + 100_000])).lost.length, 1, "killed long after");
});

test("even of a killed ingestor a hole is only at the end of a partition", () => {
  const sequences = numbers(30).filter((n) => n !== 20);
  const verdict = judgeRaw(evidence(sequences, [start + 5_000]));
  assert.deepEqual(
    verdict.lost.map(({ subject }) => subject),
    [`${session}/20`],
  );
  assert.match(verdict.lost[0]?.detail ?? "", /raw 2 has a later event/);
});
