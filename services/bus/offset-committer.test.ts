import assert from "node:assert/strict";
import { test } from "node:test";
import type { TopicPartitionOffsetAndMetadata } from "kafkajs";
import { testContext } from "../core/testing.ts";
import { OffsetCommitter } from "./offset-committer.ts";

function make(fail: (attempt: number) => boolean = () => false) {
  const commits: TopicPartitionOffsetAndMetadata[][] = [];
  let attempt = 0;
  let release: () => void = () => undefined;
  const gate = { current: Promise.resolve() };
  const committer = new OffsetCommitter(async (offsets) => {
    await gate.current;
    attempt += 1;
    if (fail(attempt)) throw new Error("not now");
    commits.push(offsets);
  }, testContext());
  return {
    committer,
    commits,
    hold: () => {
      gate.current = new Promise((resolve) => (release = resolve));
    },
    release: () => release(),
  };
}

test("the offset after the last handled record is committed, the newest of each partition", async () => {
  const { committer, commits, hold, release } = make();
  hold();
  committer.handled(0, "t", 0, "5");
  await new Promise((resolve) => setImmediate(resolve));
  committer.handled(0, "t", 0, "9007199254740993");
  committer.handled(0, "t", 1, "7");
  release();
  await committer.flush();
  assert.deepEqual(commits, [
    [{ topic: "t", partition: 0, offset: "6" }],
    [
      { topic: "t", partition: 0, offset: "9007199254740994" },
      { topic: "t", partition: 1, offset: "8" },
    ],
  ]);
});

test("a failed commit is repeated", async () => {
  const { committer, commits } = make((attempt) => attempt < 3);
  committer.handled(0, "t", 0, "1");
  await committer.flush();
  assert.deepEqual(commits, [[{ topic: "t", partition: 0, offset: "2" }]]);
});

test("offsets of a former membership are dropped: another member may own the partition", async () => {
  const { committer, commits, hold, release } = make();
  hold();
  committer.handled(0, "t", 0, "1");
  await new Promise((resolve) => setImmediate(resolve));
  committer.handled(0, "t", 1, "1");
  committer.newGeneration();
  committer.handled(0, "t", 2, "1");
  committer.handled(1, "t", 3, "1");
  release();
  await committer.flush();
  assert.deepEqual(
    commits.flat().map(({ partition }) => partition),
    [0, 3],
  );
});
