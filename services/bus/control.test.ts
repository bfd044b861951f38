import assert from "node:assert/strict";
import { test } from "node:test";
import { type ControlMessage, ControlMessageError, controlRecord, readControl } from "./control.ts";

const at = "2025-10-14T20:00:00.000Z";
const messages: ControlMessage[] = [
  { type: "drain", requestId: "r", at },
  { type: "drained", service: "s", requestId: "r", at },
  { type: "kill_switch", state: "engaged", scope: "*", reason: "prices look wrong", by: "ops", at },
  { type: "trading_ready", at, canaries: ["c"] },
  {
    type: "trading_ready",
    at,
    canaries: ["c"],
    accounts: [
      { venue: "alpaca", outcome: "mismatch", at, differences: ["position SPY: expected 0, found 1"] },
    ],
  },
  { type: "trading_not_ready", at, missing: ["alpaca partition 0: dummy"] },
];

test("a control message survives being written and read", () => {
  for (const message of messages) {
    assert.deepEqual(readControl({ value: controlRecord(message, "s").value }), message);
  }
});

test("what a newer service says in addition does no harm", () => {
  const newer = { ...messages[0], more: { than: "before" } };
  assert.deepEqual(readControl({ value: Buffer.from(JSON.stringify(newer)) }), messages[0]);
});

test("whatever is no message is refused with a reason, also types of the future", () => {
  for (const [text, reason] of [
    ['{"type":"drain"}', /requestId.*at/],
    ['{"type":"from the future","at":"2025-10-14T20:00:00.000Z"}', /type: /],
    ['{"type":"kill_switch","state":"maybe","scope":"","at":"now"}', /state.*scope.*reason.*by.*at/],
    ["{", /not JSON/],
    ["null", /not a control message/],
    ["[]", /not a control message/],
  ] as const) {
    assert.throws(
      () => readControl({ value: Buffer.from(text) }),
      (error: Error) => error instanceof ControlMessageError && reason.test(error.message),
    );
  }
  assert.throws(() => readControl({ value: null }), ControlMessageError);
});
