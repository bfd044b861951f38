import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { type ArchivedRecord, encodeLine } from "./line.ts";
import { RecordHash } from "./record-hash.ts";

const record: ArchivedRecord = {
  topic: "t",
  partition: 0,
  offset: "5",
  timestamp: "1760448600000",
  key: Buffer.from("key"),
  headers: [["h", Buffer.from("v")]],
  value: Buffer.from('{"a":1e-7}'),
};

function hashOf(records: readonly ArchivedRecord[]): string {
  const hash = new RecordHash();
  for (const one of records) hash.add(one);
  assert.equal(hash.records, records.length);
  return hash.digest();
}

test("every field but the offset counts, null differs from empty, and nothing runs into its neighbour", () => {
  const variants: ArchivedRecord[] = [
    record,
    { ...record, topic: "u" },
    { ...record, partition: 1 },
    { ...record, timestamp: "1760448600001" },
    { ...record, key: null },
    { ...record, key: Buffer.alloc(0) },
    { ...record, value: null },
    { ...record, value: Buffer.alloc(0) },
    { ...record, key: Buffer.from("keyv"), value: Buffer.from("") },
    { ...record, headers: [] },
    { ...record, headers: [["h", null]] },
    { ...record, headers: [["hv", Buffer.from("")]] },
  ];
  assert.equal(new Set(variants.map((variant) => hashOf([variant]))).size, variants.length);
  assert.equal(hashOf([{ ...record, offset: "6" }]), hashOf([record]));
  assert.notEqual(hashOf([record, record]), hashOf([record]));
});

test("records of every size are hashed alike: in one of the views that are kept, in one of their own, in pieces", () => {
  const field = (content: Buffer | string | null): Buffer[] => {
    if (content === null) return [Buffer.alloc(4, 0xff)];
    const bytes = Buffer.from(content);
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    return [length, bytes];
  };
  const documented = (records: readonly ArchivedRecord[]): string => {
    let state = Buffer.alloc(32);
    for (const { topic, partition, timestamp, key, value, headers } of records) {
      const fields = [
        topic,
        String(partition),
        timestamp,
        key,
        value,
        String(headers.length),
        ...headers.flat(),
      ];
      state = createHash("sha256")
        .update(Buffer.concat([state, ...fields.flatMap(field)]))
        .digest();
    }
    return state.toString("hex");
  };
  const around = (bytes: number) => Array.from({ length: 260 }, (_, index) => bytes - 200 + index);
  const sizes = [0, 1, ...around(4 * 1024), ...around(256 * 1024)];
  const records = sizes.flatMap((size, index) => [
    { ...record, timestamp: String(index), value: Buffer.alloc(size, index) },
    { ...record, key: null, headers: [], value: null },
  ]);
  assert.equal(hashOf(records), documented(records));
});

test("the documented Python script computes the same from the lines", () => {
  const source = readFileSync(new URL("record-hash.ts", import.meta.url), "utf8");
  const script = [...source.matchAll(/^ \*     (.*)$/gm)].map(([, line]) => line).join("\n");
  const content = fc.oneof(
    fc.constant(null),
    fc.uint8Array({ maxLength: 30 }).map((array) => Buffer.from(array)),
    fc.jsonValue().map((value) => Buffer.from(JSON.stringify(value))),
    fc.constant(Buffer.from(',"value":{"value_encoding":"json"}')),
  );
  const sample = fc.sample(
    fc.record({
      topic: fc.constant("odd-topic"),
      partition: fc.nat(9),
      offset: fc.nat().map(String),
      timestamp: fc.nat().map(String),
      key: content,
      headers: fc.array(fc.tuple(fc.string({ unit: "binary", maxLength: 9 }), content), { maxLength: 3 }),
      value: content,
    }),
    { numRuns: 300, seed: 1 },
  );
  const records = [record, ...sample];
  const python = spawnSync("python3", ["-c", script], {
    input: records.map((one) => `${encodeLine(one)}\n`).join(""),
    encoding: "utf8",
  });
  assert.equal(python.status, 0, python.stderr);
  assert.equal(python.stdout.trim(), hashOf(records));
});
