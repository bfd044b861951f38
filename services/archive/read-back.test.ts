import assert from "node:assert/strict";
import { after, test } from "node:test";
import { pino } from "pino";
import { type ArchivedObject, ArchivedPartition } from "./archived-partition.ts";
import { ClusterArchive, type ListedRange } from "./cluster-archive.ts";
import { contentOf, missingOf } from "./inventory.ts";
import type { Codec } from "./layout.ts";
import type { ArchivedRecord } from "./line.ts";
import { metadataOf, ObjectBuilder, type PreparedObject } from "./object.ts";
import { ReadBack } from "./read-back.ts";
import { type ChainPoint, chainStart, RecordHash } from "./record-hash.ts";
import type { ArchiveStore, StoredObject } from "./store.ts";

const logger = pino({ level: "silent" });
const record = (offset: number): ArchivedRecord => ({
  topic: "t",
  partition: 0,
  offset: String(offset),
  timestamp: "1760448600000",
  key: Buffer.from("k"),
  headers: [],
  value: Buffer.from(`{"n":${offset}}`),
});

/** Objects of three records each; the last one covers a marker only. */
async function objects(codec: Codec = "gzip"): Promise<PreparedObject[]> {
  const made: PreparedObject[] = [];
  let before: Readonly<ChainPoint> = chainStart;
  for (const first of [0, 3, 6, 9]) {
    const builder = new ObjectBuilder(before);
    if (first < 9) for (const offset of [first, first + 1, first + 2]) builder.add(record(offset));
    const last = first < 9 ? first + 2 : first;
    before = builder.point;
    made.push(
      await builder.build({ topic: "t", partition: 0, first: BigInt(first), last: BigInt(last) }, codec),
    );
  }
  return made;
}

interface World {
  stored: Map<string, StoredObject>;
  partition: ArchivedPartition;
  readBack: ReadBack;
  damages: string[];
}
const opened: ReadBack[] = [];
after(() => Promise.all(opened.map((one) => one.close())));

/** @param change what happens to the bucket before anything is read. */
function world(
  made: readonly PreparedObject[],
  change: (stored: Map<string, StoredObject>) => void = () => undefined,
): World {
  const stored = new Map(
    made.map(({ name, body, expected }) => [
      name,
      { body: Buffer.from(body), etag: `etag of ${name}`, metadata: metadataOf(expected) },
    ]),
  );
  change(stored);
  const identity = { stack: "dev", businessDate: "2025-10-14", clusterId: "c" };
  const store = {
    get: (key: string) => {
      const found = stored.get(key.slice("dev/2025-10-14/c/".length));
      return Promise.resolve(found && { ...found, body: Buffer.from(found.body) });
    },
  };
  const archive = new ClusterArchive(store as unknown as ArchiveStore, identity);
  const listed = made.map(({ name, body }): ListedRange => {
    const [first = 0n, last = 0n] = [...name.matchAll(/\d{20}/g)].map(([digits]) => BigInt(digits));
    return { topic: "t", partition: 0, first, last, name, bytes: body.length, etag: `etag of ${name}` };
  });
  const partition = new ArchivedPartition("t", 0, listed);
  const damages: string[] = [];
  const readBack = new ReadBack({
    archive,
    logger,
    signal: new AbortController().signal,
    onFailure: () => undefined,
    onDamage: (_partition: ArchivedPartition, object: ArchivedObject, reason: string) => {
      damages.push(`${object.first}: ${reason}`);
      partition.cut(object.first);
    },
  });
  opened.push(readBack);
  return { stored, partition, readBack, damages };
}

for (const codec of ["gzip", "zstd"] as const) {
  test(`objects (${codec}) are read back by a thread; the manifest's entry is theirs, to the marker at the end`, async () => {
    const made = await objects(codec);
    const { partition, readBack, damages } = world(made);
    assert.equal(partition.end, 10n);
    readBack.add(partition);
    await readBack.done;
    assert.deepEqual(damages, []);
    assert.equal(partition.pending, 0);
    const hash = new RecordHash();
    for (let offset = 0; offset < 9; offset++) hash.add(record(offset));
    const content = contentOf(partition, 10n);
    const { objects: entries, ...rest } = content;
    assert.deepEqual(rest, {
      partition: 0,
      start: "0",
      logEnd: "10",
      firstOffset: "0",
      lastOffset: "8",
      records: 9,
      recordsSha256: hash.digest(),
    });
    assert.deepEqual(
      entries.map(({ name, records, firstOffset, lastOffset }) => ({
        name,
        records,
        firstOffset,
        lastOffset,
      })),
      made.map(({ name, expected: { records }, firstOffset, lastOffset }) => {
        return { name, records, firstOffset, lastOffset };
      }),
    );
    assert.deepEqual(
      entries.map(({ bytes, sha256 }) => ({ bytes, sha256 })),
      made.map(({ body, expected: { sha256 } }) => ({ bytes: body.length, sha256 })),
    );
  });
}

test("whatever is wrong with an object is found, and everything in front of it stays", async () => {
  const made = await objects();
  const second = made[1] as PreparedObject;
  const third = made[2] as PreparedObject;
  const change = (more: (found: StoredObject) => Partial<StoredObject>) => (stored: World["stored"]) => {
    const found = stored.get(second.name) as StoredObject;
    stored.set(second.name, { ...found, ...more(found) });
  };
  const flipped = Buffer.from(second.body);
  flipped.writeUInt8(flipped.readUInt8(30) ^ 1, 30);
  const cases: [string, (stored: World["stored"]) => void, RegExp][] = [
    ["missing", (stored) => stored.delete(second.name), /is missing in the bucket/],
    [
      "cut off",
      change(({ body }) => ({ body: body.subarray(0, body.length - 9) })),
      /cannot be unpacked|SHA-256/,
    ],
    ["flipped", change(() => ({ body: flipped })), /cannot be unpacked|line \d|SHA-256|Kafka gave/],
    [
      "another's content",
      change(() => ({ body: third.body })),
      /offset 6 is not in order or not in the object/,
    ],
    ["no metadata", change(() => ({ metadata: {} })), /metadata is not the archiver's/],
    [
      "another place in the chain",
      change(({ metadata }) => ({ metadata: { ...metadata, "records-before": "4" } })),
      /does not continue the chain/,
    ],
    [
      "other records",
      change(({ metadata }) => ({ metadata: { ...metadata, "records-sha256": "0".repeat(64) } })),
      /not those that Kafka gave/,
    ],
  ];
  for (const [what, spoil, message] of cases) {
    const { partition, readBack, damages } = world(made, spoil);
    readBack.add(partition);
    await readBack.done;
    assert.equal(damages.length, 1, what);
    assert.match(damages[0] ?? "", message, what);
    assert.equal(partition.end, 3n, what);
    assert.deepEqual(partition.verified.records, 3, what);
  }
});

test("a listing that differs from what was read back is told", async () => {
  const made = await objects();
  const { partition, readBack } = world(made);
  readBack.add(partition);
  await readBack.done;
  const listed = new Map(partition.readBack.map(({ name, bytes, etag }) => [name, { bytes, etag }]));
  assert.equal(missingOf(partition, listed), undefined);
  const name = made[2]?.name ?? "";
  const bytes = made[2]?.body.length ?? 0;
  for (const [spoil, reason] of [
    [() => listed.delete(name), /is missing in the bucket/],
    [() => listed.set(name, { bytes: 1, etag: `etag of ${name}` }), /has 1 bytes instead of/],
    [() => listed.set(name, { bytes, etag: "another" }), /ETag differs/],
  ] as const) {
    spoil();
    assert.match(missingOf(partition, listed)?.reason ?? "", reason);
  }
});

test("records that are gone from Kafka: the archive goes on behind the gap, with what an earlier run stored there", async () => {
  const made = await objects();
  const without = made.filter((_object, index) => index !== 1);
  const { partition } = world(without);
  assert.equal(partition.end, 3n);
  assert.equal(partition.skipTo(7n), 6n);
  assert.equal(partition.end, 10n);
  assert.deepEqual(partition.starts, [0n, 6n]);
  assert.equal(world([]).partition.skipTo(7n), 7n);
});
