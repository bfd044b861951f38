import assert from "node:assert/strict";
import { test } from "node:test";
import { readTopicIds } from "./topic-ids.ts";

/** Parts of flexible versions: compact texts and arrays have their length plus one in front. */
const text = (value: string | null): number[] =>
  value === null ? [0] : [value.length + 1, ...Buffer.from(value)];
const array = (...items: number[][]): number[] => [items.length + 1, ...items.flat()];
const int32 = (value: number): number[] => [0, 0, 0, value];
const noTags = [0];
const partition = [0, 0, ...int32(0), ...int32(1), ...int32(5)];
const nodes = array(int32(1), int32(2));

const topic = (error: number, name: string | null, id: number[]): number[] => [
  ...[0, error],
  ...text(name),
  ...id,
  0,
  ...array([...partition, ...nodes, ...nodes, ...array(), ...noTags]),
  ...int32(0),
  ...noTags,
];

test("ids of topics are found among brokers, partitions and tags; topics with an error have none", () => {
  const id = [...new Array<number>(15).fill(0xab), 0x01];
  const answer = Buffer.from([
    ...noTags,
    ...int32(0),
    ...array(
      [...int32(1), ...text("broker-1"), ...int32(92), ...text(null), ...noTags],
      // A tag of a later version: number 3 with two bytes.
      [...int32(2), ...text("broker-2"), ...int32(92), ...text("rack"), 1, 3, 2, 0xff, 0xff],
    ),
    ...text("cluster"),
    ...int32(1),
    ...array(topic(0, "norm.swap_demand", id), topic(3, "going", id), topic(0, null, id)),
    ...noTags,
  ]);
  assert.deepEqual(readTopicIds(answer), new Map([["norm.swap_demand", `${"ab".repeat(15)}01`]]));
});
