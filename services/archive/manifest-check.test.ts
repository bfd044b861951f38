import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Manifest, manifestChecksum, manifestSchema, type ManifestObject } from "./documents.ts";
import { objectName } from "./layout.ts";
import { regressions, sameContent } from "./manifest-compare.ts";
import { inconsistencies, type ListedFile, listingProblems, manifestProblems } from "./manifest-check.ts";
import { chainStart } from "./record-hash.ts";

const identity = { stack: "dev", businessDate: "2025-10-14", clusterId: "ManifestTestClusterIdA" };
const hashOf = (text: string): string => Buffer.from(text).toString("hex").padEnd(64, "0").slice(0, 64);

/** A partition of objects with so many records each; behind each object stands one transaction marker. */
function partitionOf(topic: string, partition: number, sizes: readonly number[]) {
  let next = 0n;
  let records = 0;
  let recordsSha256 = chainStart.sha256;
  const objects = sizes.map((size): ManifestObject => {
    const [first, last] = [next, next + BigInt(size)];
    next = last + 1n;
    records += size;
    if (size > 0) recordsSha256 = hashOf(`${topic}${partition} ${records}`);
    return {
      name: objectName({ topic, partition, first, last }, "gzip"),
      bytes: 10 + size,
      sha256: hashOf(`body ${size}`),
      etag: `etag-${size}`,
      records: size,
      recordsSha256,
      firstOffset: size === 0 ? null : String(first),
      lastOffset: size === 0 ? null : String(last - 1n),
    };
  });
  const full = objects.filter((object) => object.records > 0);
  return {
    partition,
    start: "0",
    logEnd: String(next),
    firstOffset: full[0]?.firstOffset ?? null,
    lastOffset: full.at(-1)?.lastOffset ?? null,
    records,
    recordsSha256,
    objects,
  };
}

const withChecksum = (content: Omit<Manifest, "checksum">): Manifest => ({
  ...content,
  checksum: manifestChecksum(content),
});

function manifestOf(sizes: Record<string, number[][]>): Manifest {
  const topics = Object.entries(sizes).map(([topic, partitions]) => ({
    topic,
    configuration: {},
    deleted: false,
    partitions: partitions.map((objects, index) => partitionOf(topic, index, objects)),
  }));
  const partitions = topics.flatMap((topic) => topic.partitions);
  const objects = partitions.flatMap((partition) => partition.objects);
  const sum = (numbers: number[]) => numbers.reduce((a, b) => a + b, 0);
  return withChecksum({
    format: 2,
    ...identity,
    kafkaClusterId: "KafkaIdOfManifestTestA",
    generation: 1,
    requestId: "request",
    sealedAt: "2025-10-14T20:00:00.000Z",
    versions: {},
    topics,
    groups: [],
    totals: {
      topics: topics.length,
      partitions: partitions.length,
      objects: objects.length,
      records: sum(partitions.map((partition) => partition.records)),
      bytes: sum(objects.map((object) => object.bytes)),
    },
    evidence: [{ name: "evidence/1/index.json", bytes: 7, sha256: hashOf("evidence"), etag: "evidence" }],
    carryOver: null,
    losses: [],
  });
}

const listingOf = (manifest: Manifest): Map<string, ListedFile> =>
  new Map(
    [
      ...manifest.topics.flatMap(({ partitions }) => partitions.flatMap(({ objects }) => objects)),
      ...manifest.evidence,
    ].map(({ name, bytes, etag }) => [name, { bytes, etag }]),
  );

const sizes = fc.dictionary(
  fc.constantFrom("raw.a", "norm.b", "cmd.c"),
  fc.array(fc.array(fc.nat(5), { maxLength: 4 }), { minLength: 1, maxLength: 3 }),
  { noNullPrototype: true },
);

test("a manifest that is right has no problem, with its objects listed", () => {
  fc.assert(
    fc.property(sizes, (content) => {
      const manifest = manifestOf(content);
      assert.deepEqual(manifestSchema.parse(manifest), manifest);
      assert.deepEqual(inconsistencies(identity, manifest), []);
      assert.deepEqual(listingProblems(manifest, listingOf(manifest)), []);
      assert.ok(sameContent(manifest, manifest.topics));
      assert.deepEqual(regressions(manifest, manifest.topics), []);
    }),
  );
});

test("an object left out, doubled, swapped or miscounted is noticed, though the checksum was made anew", () => {
  const mutations: Record<string, (objects: ManifestObject[], at: number) => void> = {
    removed: (objects, at) => void objects.splice(at, 1),
    doubled: (objects, at) => void objects.splice(at, 0, objects[at] as ManifestObject),
    moved: (objects, at) => void objects.push(...objects.splice(at, 1)),
    miscounted: (objects, at) => void ((objects[at] as ManifestObject).records += 1),
    rehashed: (objects, at) => void ((objects[at] as ManifestObject).recordsSha256 = hashOf("other")),
    renamed: (objects, at) => {
      const object = objects[at] as ManifestObject;
      object.name = object.name.replace("raw.a", "raw.b");
    },
    shifted: (objects, at) => void ((objects[at] as ManifestObject).firstOffset = "999"),
  };
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 2, maxLength: 5 }),
      fc.nat(),
      fc.constantFrom(...Object.keys(mutations)),
      (objectSizes, place, mutation) => {
        const manifest = manifestOf({ "raw.a": [objectSizes] });
        const { objects } = manifest.topics[0]?.partitions[0] ?? assert.fail();
        const at = place % objects.length;
        // The last one moved to the end is where it was; the last one's hash is its partition's.
        if (mutation === "moved" && at === objects.length - 1) return;
        mutations[mutation]?.(objects, at);
        if (mutation === "rehashed" && at < objects.length - 1) return;
        assert.notDeepEqual(inconsistencies(identity, withChecksum(manifest)), [], mutation);
      },
    ),
  );
});

test("every contradiction is told, and all together", () => {
  const manifest = manifestOf({ "raw.a": [[2, 3]] });
  const problems = (change: (copy: Manifest) => void): string => {
    const copy = structuredClone(manifest);
    change(copy);
    return manifestProblems(identity, copy).join("\n");
  };
  assert.match(
    problems((copy) =>
      Object.assign(copy, { stack: "prod", clusterId: "Another", losses: ["records are lost"] }),
    ),
    /checksum does not match\n.*stack is prod, not dev\n.*clusterId is Another, not .*\nrecords are lost/,
  );
  const partition = (copy: Manifest) => copy.topics[0]?.partitions[0] ?? assert.fail();
  assert.match(
    problems((copy) => void (partition(copy).start = "1")),
    /raw\.a\/0: begins at offset 1 instead of 0/,
  );
  assert.match(
    problems((copy) => void (partition(copy).logEnd = "5")),
    /covers more than the log's end 5/,
  );
  assert.match(
    problems((copy) => void (partition(copy).logEnd = "999")),
    /no object covers the offsets from \d+ to 998/,
  );
  assert.match(
    problems((copy) => void partition(copy).objects.splice(0, 1)),
    /no object covers the offsets from 0 to 2/,
  );
  assert.match(
    problems((copy) => void copy.topics[0]?.partitions.push(partition(copy))),
    /raw\.a\/0: stands in the manifest twice/,
  );
  assert.match(
    problems((copy) => void (copy.totals.records = 6)),
    /total says 6 records, it lists 5/,
  );
});

test("the listing shows what is missing, changed or newer", () => {
  const manifest = manifestOf({ "raw.a": [[2, 3]] });
  const problems = (change: (listed: Map<string, ListedFile>) => void): string[] => {
    const listed = listingOf(manifest);
    change(listed);
    return listingProblems(manifest, listed);
  };
  const [first, second] = manifest.topics[0]?.partitions[0]?.objects ?? [];
  assert.ok(first && second);
  assert.deepEqual(
    problems((listed) => {
      listed.delete(first.name);
      listed.set(second.name, { bytes: 1, etag: second.etag });
      listed.delete("evidence/1/index.json");
    }),
    [
      `${first.name}: is missing in the bucket`,
      `${second.name}: has 1 bytes instead of 13`,
      "evidence/1/index.json: is missing in the bucket",
    ],
  );
  assert.match(
    problems((listed) => listed.set(first.name, { bytes: first.bytes, etag: "other" })).join(),
    /was changed after it had been read back \(its ETag is other instead of etag-2\)/,
  );
  const range = { topic: "raw.a", partition: 0 };
  const put = (first: bigint, last: bigint, topic = "raw.a") =>
    problems((listed) =>
      listed.set(objectName({ ...range, topic, first, last }, "zstd"), { bytes: 1, etag: "x" }),
    );
  assert.deepEqual(put(1n, 6n), [], "a leftover of before");
  assert.match(put(7n, 7n).join(), /manifest ends at offset 7, the bucket holds newer records/);
  assert.match(put(0n, 0n, "raw.new").join(), /raw\.new\/0: .* the manifest does not know it/);
});

test("a new generation that would hold less, or other records, is noticed", () => {
  const before = manifestOf({ "raw.a": [[2, 3], [1]] });
  const worse = (sizesNow: Record<string, number[][]>, change?: (copy: Manifest) => void): string => {
    const now = manifestOf(sizesNow);
    change?.(now);
    return regressions(before, now.topics).join("\n");
  };
  assert.equal(worse({ "raw.a": [[2, 3, 4], [1], [2]], "raw.b": [[1]] }), "");
  assert.match(worse({ "raw.b": [[1]] }), /raw\.a\/0: generation 1 has 5 records of it, now there are none/);
  assert.match(worse({ "raw.a": [[2], [1]] }), /raw\.a\/0: generation 1 has 5 records, now there are 2/);
  assert.match(
    worse({ "raw.a": [[2, 3, 1], [1]] }, (now) => {
      const object = now.topics[0]?.partitions[0]?.objects[1] ?? assert.fail();
      object.recordsSha256 = hashOf("other");
    }),
    /raw\.a\/0: generation 1 has other records up to offset 5/,
  );
});
