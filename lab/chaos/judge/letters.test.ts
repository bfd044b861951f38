import assert from "node:assert/strict";
import { test } from "node:test";
import { deadLetterOf } from "../../../services/bus/dead-letters.ts";
import { newEvent } from "../../../services/core/events.ts";
import { judgeLetters } from "./letters.ts";
import { judgeRepeats, judgeStage } from "./stages.ts";

const poison = { kind: "broken_json_raw", topic: "raw", partition: 1, offset: "7" } as const;
function letter(offset: string) {
  const origin = {
    topic: "raw",
    partition: 1,
    offset,
    timestamp: 0,
    key: null,
    value: Buffer.from("{"),
    headers: {},
  };
  const { topic, value, headers = {} } = deadLetterOf(origin, new Error("not JSON"), "normalize");
  return {
    topic,
    partition: 0,
    offset: "0",
    timestamp: "0",
    key: null,
    value,
    headers: Object.entries(headers).map(([name, held]) => [name, Buffer.from(String(held))] as const),
  };
}

test("dead letters are exactly the poison; two services may put the same record aside", () => {
  assert.deepEqual(judgeLetters([letter("7"), letter("7")], [poison]), []);
  assert.deepEqual(
    judgeLetters([letter("8")], [poison]).map(({ what, subject }) => [what, subject]),
    [
      ["good_record_in_dead_letters", "raw/1/8"],
      ["poison_without_dead_letter", "raw/1/7"],
    ],
  );
});

test("a stage that makes less or more than follows from its input is found", () => {
  assert.deepEqual(judgeStage("s", new Set(["a", "b"]), new Set(["b", "a"])), []);
  assert.deepEqual(
    judgeStage("s", new Set(["a", "b"]), new Set(["b", "c"])).map(({ what, subject }) => [what, subject]),
    [
      ["stage_gap", "a"],
      ["stage_surplus", "c"],
    ],
  );
});

test("a repeat counts only while processes were replaced in order", () => {
  const event = newEvent("norm.canary", {
    event_id: "2ed6657d-e927-568b-95e1-2665a8aea6a2",
    venue: "alpaca",
    observed_at: "2025-10-14T13:30:00.000Z",
    ingested_at: "2025-10-14T13:30:00.000Z",
    payload: { canary_id: "2ed6657d-e927-568b-95e1-2665a8aea6a2", sent_at: "2025-10-14T13:30:00.000Z" },
  });
  const at = (timestamp: string) => ({ event, record: { ...letter("1"), timestamp } });
  assert.equal(judgeRepeats([at("5"), at("6")], 10).length, 1);
  assert.equal(judgeRepeats([at("5"), at("15")], 10).length, 0);
});
