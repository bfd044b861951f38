import assert from "node:assert/strict";
import { test } from "node:test";
import { describeStrangers } from "./in-the-way.ts";

const server = (name: string, clusterId?: string) => ({
  id: 7,
  name,
  labels: {
    stack: "dev",
    ...(clusterId === undefined ? {} : { "cluster-id": clusterId, "business-date": "2025-10-14" }),
  },
});

test("servers of this cluster are not in the way", () => {
  assert.equal(describeStrangers("dev", "A", [server("dev-kafka-0", "A")]), undefined);
  assert.equal(describeStrangers("dev", "A", []), undefined);
});

test("servers of another cluster are named, with the commands that clear the way", () => {
  const text = describeStrangers("dev", "A", [
    server("dev-kafka-0", "A"),
    server("dev-kafka-1", "B"),
    server("dev-x"),
  ]);
  assert.match(text ?? "", /dev-kafka-1 \(id 7, cluster B of 2025-10-14\)/);
  assert.match(text ?? "", /dev-x \(id 7, cluster without a cluster-id of no date\)/);
  assert.match(text ?? "", /trading -- open --stack dev.*trading -- close --stack dev/s);
  assert.doesNotMatch(text ?? "", /dev-kafka-0/);
});
