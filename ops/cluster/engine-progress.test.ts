import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import type { StackEvent } from "../engine/stack-engine.ts";
import { withEngineProgress } from "./engine-progress.ts";

const about = { kind: "resource", operation: "create" } as const;
const kafka = { ...about, type: "kubernetes:kafka.strimzi.io/v1:Kafka", name: "kafka-cluster" };

function record() {
  const notes: string[] = [];
  const progress: string[] = [];
  const reporter = {
    note: (line: string) => void notes.push(line),
    progress: (line: string) => void progress.push(line),
  };
  return { notes, progress, reporter };
}

test("what matters is noted when it is done, warnings at once; errors are left to what the run throws", async () => {
  const { notes, progress, reporter } = record();
  const result = await withEngineProgress("up", reporter, async (onEvent) => {
    const line = (severity: "info" | "warning" | "error"): StackEvent => ({
      kind: "line",
      severity,
      text: severity,
    });
    for (const severity of ["info", "warning", "error"] as const) onEvent(line(severity));
    onEvent({ ...kafka, status: "started" });
    onEvent({ ...kafka, name: "kafka-bootstrap", status: "started" });
    onEvent({ ...kafka, status: "done" });
    return "outputs";
  });
  assert.equal(result, "outputs");
  assert.deepEqual(notes, ["up: warning", "up 0 s: Kafka is ready (0 s)"]);
  assert.equal(progress[0], "up: info");
  assert.match(progress[2] ?? "", /^up 0 s: 0 done, under way: kafka-cluster 0 s, kafka-bootstrap 0 s$/);
  assert.match(progress.at(-1) ?? "", /^up 0 s: 1 done, under way: kafka-bootstrap 0 s$/);
});

test("what takes long is told while nothing happens, longest first, and no more when the run has ended", async () => {
  const { progress, reporter } = record();
  const stopped = new Error("stopped");
  await assert.rejects(
    withEngineProgress("up", reporter, async (onEvent) => {
      onEvent({ ...kafka, status: "started" });
      while (progress.length < 2) await delay(50);
      throw stopped;
    }),
    stopped,
  );
  assert.match(progress[1] ?? "", /^up [1-9]\d* s: 0 done, under way: kafka-cluster [1-9]\d* s$/);
});
