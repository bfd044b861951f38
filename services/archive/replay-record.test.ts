/** Who a record is, and where its order counts. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { deadLetterOf } from "../bus/dead-letters.ts";
import { derivedEventId } from "../core/ids.ts";
import { firstDifference } from "./replay-field.ts";
import { digestOf, identify, type OutputRecord, outputOf } from "./replay-record.ts";

const base = { topic: "norm.stock_trade", partition: 0, offset: "0", headers: [] } as const;
const made = (value: unknown, more: Partial<OutputRecord> = {}): OutputRecord => ({
  ...base,
  key: Buffer.from("AAPL"),
  value: Buffer.from(JSON.stringify(value)),
  ...more,
});

const rawId = "c1b3f7e4-6a53-5b0e-8f0e-111111111111";
const command = (strategy: string, type: string): OutputRecord =>
  made(
    {
      event_id: derivedEventId("cmd.execute_trade", rawId, strategy, type),
      event_type: "cmd.execute_trade",
      venue: "alpaca",
      payload: { strategy },
      causation_id: derivedEventId(type, rawId),
      correlation_id: rawId,
    },
    { topic: "cmd.execute_trade" },
  );

test("commands of one key have an order among those of one strategy that answer one topic", () => {
  const line = (...args: Parameters<typeof command>) => identify(command(...args)).line;
  const trade = line("dummy", "norm.stock_trade");
  assert.equal(line("dummy", "norm.stock_trade_cancel"), trade, "trades and their cancels come on one topic");
  assert.notEqual(line("dummy", "norm.stock_bar"), trade);
  assert.notEqual(line("other", "norm.stock_trade"), trade);
  assert.equal(identify(command("dummy", "norm.stock_trade")).writer, "strategy-dummy");
});

test("what is no event is known by its bytes", () => {
  for (const value of [
    null,
    Buffer.from([0xff, 0]),
    Buffer.from("{"),
    Buffer.from("null"),
    Buffer.from("[]"),
  ]) {
    const record = { ...base, key: null, value };
    assert.match(identify(record).id, /^bytes /);
    assert.equal(identify(record).id, identify({ ...record, offset: "7" }).id);
  }
});

test("a dead letter of a replay is known though it stood elsewhere at another time", () => {
  const refused = (offset: string, timestamp: number) => {
    const record = {
      topic: "norm.stock_trade",
      partition: 1,
      offset,
      timestamp,
      key: null,
      value: Buffer.from("?"),
      headers: {},
    };
    const { topic, key, value, headers } = deadLetterOf(record, new RangeError("no"), "strategy-dummy");
    return outputOf({
      topic,
      partition: 0,
      offset,
      timestamp,
      key: Buffer.from(key),
      value,
      headers: headers ?? {},
    });
  };
  const [day, replay] = [refused("5", 1), refused("4", 2)];
  assert.equal(identify(day).id, identify(replay).id);
  assert.equal(identify(day).writer, "strategy-dummy");
  assert.equal(digestOf(day), digestOf(replay));
  assert.equal(firstDifference(day, replay), undefined);
});

test("the first field that differs is named with both contents", () => {
  const trade = { event_id: "x", payload: { price: "1.50", limits: [1, { deep: "a" }] } };
  const difference = (value: unknown, more: Partial<OutputRecord> = {}) =>
    firstDifference(made(trade), made(value, more));
  assert.equal(difference(trade), undefined);
  assert.deepEqual(difference({ event_id: "x", payload: { price: "1.5", limits: [] } }), {
    field: "payload.price",
    archived: '"1.50"',
    replayed: '"1.5"',
  });
  assert.deepEqual(difference({ ...trade, payload: { ...trade.payload, limits: [1, { deep: 7 }] } }), {
    field: "payload.limits.1.deep",
    archived: '"a"',
    replayed: "7",
  });
  assert.deepEqual(difference({ ...trade, new: null }), {
    field: "new",
    archived: undefined,
    replayed: "null",
  });
  assert.equal(
    difference(trade, { value: Buffer.from(`${JSON.stringify(trade)} `) })?.field,
    "byte 69 of the value",
  );
  assert.equal(difference(trade, { value: null })?.field, "value");
  assert.equal(difference(trade, { key: null })?.field, "key");
  assert.equal(difference(trade, { partition: 3 })?.field, "partition");
  assert.deepEqual(difference(trade, { headers: [["a", Buffer.from("1")]] }), {
    field: "header a",
    archived: undefined,
    replayed: "1",
  });
});

test("records have a first difference exactly when their digests differ", () => {
  const bytes = fc.option(
    fc.oneof(
      fc.json({ maxDepth: 2 }).map((text) => Buffer.from(text)),
      fc.uint8Array({ maxLength: 6 }).map((array) => Buffer.from(array)),
      fc.constantFrom(Buffer.from('{"a":1}'), Buffer.from('{"a": 1}'), Buffer.from('{"a":1,"a":2}')),
    ),
  );
  const record = fc.record({
    key: bytes,
    value: bytes,
    headers: fc.array(fc.tuple(fc.constantFrom("a", "b"), bytes), { maxLength: 2 }),
  });
  fc.assert(
    fc.property(record, record, (one, other) => {
      const [a, b] = [
        { ...base, ...one },
        { ...base, ...other },
      ];
      assert.equal(firstDifference(a, b) === undefined, digestOf(a) === digestOf(b));
      assert.equal(firstDifference(a, { ...a, headers: [...a.headers] }), undefined);
    }),
  );
});
