import assert from "node:assert/strict";
import { test } from "node:test";
import type { ManifestPartition } from "./documents.ts";
import { allLosses, type TopicContent } from "./manifest-compare.ts";

const partition: ManifestPartition = {
  partition: 0,
  start: "0",
  logEnd: "0",
  firstOffset: null,
  lastOffset: null,
  records: 0,
  recordsSha256: "0".repeat(64),
  objects: [],
};
const topic = (name: string, deleted: boolean): TopicContent => ({
  topic: name,
  deleted,
  partitions: [partition],
});

test("what was lost with a topic stays in every later manifest, also after a restart of the archiver", () => {
  const before = { losses: ["gone/0: offsets 1 to 2", "never-stored/0: offsets 0 to 9"] };
  const topics = [topic("gone", true), topic("live", false)];
  assert.deepEqual(allLosses(before, topics, []), before.losses);
  assert.deepEqual(allLosses(before, topics, before.losses), before.losses);
  assert.deepEqual(allLosses(undefined, topics, ["live/0: offsets 3 to 4"]), ["live/0: offsets 3 to 4"]);
});

test("a topic that is there again shows its losses itself", () => {
  const before = { losses: ["t/0: the topic was deleted"] };
  assert.deepEqual(allLosses(before, [topic("t", false)], []), []);
});
