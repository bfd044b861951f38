import assert from "node:assert/strict";
import { Writable } from "node:stream";
import { test } from "node:test";
import type { EngineEvent } from "./events.ts";
import { createTreeRenderer, formatDuration, shortType } from "./tree.ts";

function sink(): { output: Writable; text: () => string } {
  const chunks: string[] = [];
  const output = new Writable({
    write(chunk: Buffer, _encoding, done) {
      chunks.push(chunk.toString());
      done();
    },
  });
  return { output, text: () => chunks.join("") };
}

const about = {
  type: "hcloud:index/server:Server",
  name: "kafka-0",
  component: false,
  operation: "create",
} as const;
const parent = "urn:pulumi:s::p::t:m:Nodes::nodes";
const events: EngineEvent[] = [
  {
    kind: "resource-finished",
    urn: parent,
    type: "t:m:Nodes",
    name: "nodes",
    component: true,
    operation: "create",
    milliseconds: 0,
  },
  { kind: "resource-started", urn: "urn:kafka-0", parent, ...about },
  { kind: "diagnostic", severity: "warning", source: "log", message: "slow today", urn: "urn:x::kafka-0" },
  { kind: "diagnostic", severity: "debug", source: "log", message: "not shown" },
  { kind: "resource-finished", urn: "urn:kafka-0", parent, ...about, milliseconds: 1_234 },
  {
    kind: "resource-failed",
    urn: "urn:kafka-1",
    parent,
    ...about,
    name: "kafka-1",
    milliseconds: 61_000,
    message: "no stock\nthere",
  },
  { kind: "resource-finished", urn: "urn:same", ...about, name: "same", operation: "same", milliseconds: 1 },
  { kind: "outputs", outputs: { a: "b" } },
];

test("without a terminal: a line for each finished resource, at once", () => {
  const { output, text } = sink();
  const tree = createTreeRenderer({ output });
  events.forEach((event) => tree.onEvent(event));
  assert.equal(
    text(),
    [
      "  warning: kafka-0: slow today",
      "  + hcloud Server kafka-0 created (1.2 s)",
      "  ! hcloud Server kafka-1: create failed (1:01 min)",
      "      no stock",
      "      there",
      "",
    ].join("\n"),
  );
  tree.close();
});

test("on a terminal: a tree, redrawn, whose last picture has everything below its parent", () => {
  const { output, text } = sink();
  const tree = createTreeRenderer({ output, interactive: true, color: false });
  events.forEach((event) => tree.onEvent(event));
  tree.close();
  const last = text().split("\u001b[0J").at(-1) ?? "";
  assert.match(
    last,
    /^ {2}\+ t Nodes nodes *\n {4}\+ hcloud Server kafka-0 +created \(1\.2 s\)\n {4}! hcloud Server kafka-1 +failed \(1:01 min\)\n/,
  );
  assert.match(last, /same +unchanged\n$/);
});

test("durations and types in few letters", () => {
  assert.deepEqual([90, 9_949, 59_400, 125_000].map(formatDuration), ["0.1 s", "9.9 s", "59 s", "2:05 min"]);
  assert.equal(shortType("kubernetes:kafka.strimzi.io/v1:Kafka"), "kubernetes Kafka");
});
