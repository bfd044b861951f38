import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { Ajv2020 } from "ajv/dist/2020.js";
import fc from "fast-check";
import { decodeEvent, eventTypes, type EventType } from "./events.ts";
import {
  changesAgainstCommitted,
  committedSchema,
  currentSchema,
  printSchema,
  schemaFile,
  schemasDirectory,
} from "./event-schemas.ts";
import { describeIncompatibility } from "./schema-compatibility.ts";
import { upcasterCount } from "./upcasters.ts";

const types = Object.keys(eventTypes) as EventType[];

for (const type of types) {
  test(`${type}: what was written with its committed schema can still be read`, () => {
    assert.deepEqual(changesAgainstCommitted(type).map(describeIncompatibility), []);
  });

  test(`${type}: its newest schema is the one in Git`, () => {
    const committed = readFileSync(
      new URL(schemaFile(type, eventTypes[type].version), schemasDirectory),
      "utf8",
    );
    assert.equal(
      printSchema(currentSchema(type)),
      committed,
      "run `npm run schemas` and commit what it wrote",
    );
  });

  test(`${type}: every version has its schema, and an upcaster to the next one`, () => {
    const { version } = eventTypes[type];
    for (let each = 1; each <= version; each++) {
      assert.notEqual(committedSchema(type, each), undefined, schemaFile(type, each));
    }
    assert.equal(upcasterCount(type), version - 1);
  });
}

test("no schema lies about that belongs to no version of an event type", () => {
  const expected = types.flatMap((type) =>
    Array.from({ length: eventTypes[type].version }, (_, index) => schemaFile(type, index + 1)),
  );
  assert.deepEqual(readdirSync(schemasDirectory).sort(), expected.sort());
});

/** Records as the code of before version 2 wrote them, one a line. */
const v1Records = readFileSync(new URL("fixtures/records-v1.ndjson", import.meta.url), "utf8")
  .trimEnd()
  .split("\n");
const ajv = new Ajv2020({ strict: false, validateFormats: false });
const v1 = Object.fromEntries(
  (["exec.trade_result", "exec.journal"] as const).map((type) => [
    type,
    ajv.compile(committedSchema(type, 1) as object),
  ]),
);

type Upcast = "exec.trade_result" | "exec.journal";
interface V1Event {
  event_type: Upcast;
  payload: Record<string, unknown>;
}

/** Reads a record of version 1 and says what must have become of it. */
function checkUpcast(text: string): void {
  const before = JSON.parse(text) as V1Event;
  const validate = v1[before.event_type];
  assert.ok(validate?.(before), JSON.stringify(validate?.errors));
  const { payload, ...envelope } = decodeEvent(before.event_type, Buffer.from(text));
  const { payload: old, ...oldEnvelope } = before;
  assert.deepEqual(envelope, { ...oldEnvelope, schema_version: 2 });
  const kind = { kind: "swap" };
  if (before.event_type === "exec.trade_result") {
    assert.deepEqual(payload, { ...old, filled: { ...kind, ...(old["filled"] as object) } });
  } else {
    const result = old["result"] as { filled: object } | undefined;
    assert.deepEqual(
      payload,
      result === undefined ? old : { ...old, result: { ...result, filled: { ...kind, ...result.filled } } },
    );
  }
}

test("records that version 1 wrote are read as version 2", () => {
  const states = new Set<unknown>();
  for (const text of v1Records) {
    checkUpcast(text);
    const { payload } = JSON.parse(text) as V1Event;
    states.add(payload["state"] ?? payload["status"]);
  }
  assert.ok(states.has("FILLED") && states.has("INTENT") && states.has("UNKNOWN"), [...states].join(" "));
});

const instant = fc
  .date({ min: new Date("1970-01-01"), max: new Date("2100-01-01"), noInvalidDate: true })
  .map((date) => date.toISOString());
const word = fc.string({ minLength: 1 });
const units = fc.bigInt({ min: 0n, max: 2n ** 256n - 1n }).map(String);
const reference = fc.dictionary(
  word.filter((name) => name !== "__proto__"),
  fc.string(),
);
const status = fc.constantFrom("FILLED", "REJECTED", "CANCELED", "EXPIRED", "DENIED");
const reason = fc.record({ code: word, message: fc.string() });
const ids = { command_id: fc.uuid(), idempotency_key: fc.string({ minLength: 1, maxLength: 200 }) };
const resultV1 = fc.record(
  {
    ...ids,
    strategy: word,
    status,
    reason,
    filled: fc.record({ amount_in: units, amount_out: units }),
    reference,
    completed_at: instant,
  },
  {
    requiredKeys: [
      "command_id",
      "idempotency_key",
      "strategy",
      "status",
      "filled",
      "reference",
      "completed_at",
    ],
  },
);
const commandV1 = fc.record({
  ...ids,
  strategy: word,
  venue: word,
  deadline: instant,
  limits: fc.record({ max_amount_out: units }),
  instruction: fc.record({
    kind: fc.constant("answer_swap"),
    quote_id: word,
    asset_in: word,
    asset_out: word,
    amount_in: units,
    amount_out: units,
    exact: fc.constantFrom("in", "out"),
  }),
});
const entryV1 = fc.record(
  {
    ...ids,
    state: fc.oneof(fc.constantFrom("INTENT", "SUBMITTED", "UNKNOWN"), status),
    epoch: fc.integer({ min: 1 }),
    at: instant,
    command: commandV1,
    reference,
    result: resultV1,
    reason,
  },
  { requiredKeys: ["command_id", "idempotency_key", "state", "epoch", "at"] },
);
const envelope = {
  event_id: fc.uuid(),
  venue: word,
  observed_at: instant,
  ingested_at: instant,
  schema_version: fc.constant(1),
};
const eventV1 = fc.oneof(
  fc.record({ ...envelope, event_type: fc.constant("exec.trade_result"), payload: resultV1 }),
  fc.record({ ...envelope, event_type: fc.constant("exec.journal"), payload: entryV1 }),
);

test("whatever version 1 could have written is read as version 2", () => {
  fc.assert(fc.property(eventV1, (event) => checkUpcast(JSON.stringify(event))));
});
