import assert from "node:assert/strict";
import { test } from "node:test";
import { Health } from "./health.ts";

test("a loop without progress makes the service unhealthy until it moves on or ends", () => {
  let now = 0;
  const health = new Health(() => now);
  health.setReady(true);
  const fast = health.watch("fast", 1_000);
  const slow = health.watch("slow", 10_000);
  now = 1_000;
  assert.deepEqual(health.late(), []);
  assert.equal(health.ready, true);
  now = 5_000;
  assert.deepEqual(health.late(), ["fast: no progress for 5 s"]);
  assert.equal(health.ready, false);
  fast.progress();
  assert.deepEqual(health.late(), []);
  now = 20_000;
  assert.equal(health.late().length, 2);
  fast.end();
  slow.end();
  assert.equal(health.ready, true);
});
