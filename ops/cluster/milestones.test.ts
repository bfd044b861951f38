import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { milestoneOf } from "./milestones.ts";

test("what matters of an up is told by the names that the program has", () => {
  const graph = JSON.parse(
    readFileSync(new URL("../../stacks/graph/dev.json", import.meta.url), "utf8"),
  ) as Record<string, unknown>;
  const told = Object.keys(graph).flatMap((resource) => {
    const [type = "", name = ""] = resource.split(" ");
    return milestoneOf({ operation: "create", type, name }) ?? [];
  });
  assert.deepEqual(told.sort(), [
    "Argo CD delivers the services",
    "Argo CD is installed",
    "Kafka is ready",
    "Kafka's operator is installed",
    "Prometheus' operator is installed",
    "k3s is ready on all nodes",
    "server k3s-control is created",
    "server kafka-0 is created",
    "server kafka-1 is created",
    "server kafka-2 is created",
    "the export gate stands",
    "topics are made, the archive is opened",
  ]);
});

test("a removal tells of the seal and of the servers, and nothing else of what had been made", () => {
  const gone = (type: string, name: string) => milestoneOf({ operation: "delete", type, name });
  assert.equal(
    gone("command:local:Command", "export-gate-sealed-archive"),
    "the archive is sealed and verified",
  );
  assert.equal(gone("hcloud:index/server:Server", "nodes-kafka-0"), "server kafka-0 is deleted");
  assert.equal(gone("kubernetes:kafka.strimzi.io/v1:Kafka", "kafka-cluster"), undefined);
  const service = { type: "kubernetes:apps/v1:Deployment", name: "delivery-archiver" };
  assert.equal(milestoneOf({ ...service, operation: "create" }), "service archiver is applied");
  assert.equal(milestoneOf({ ...service, operation: "update" }), undefined);
});
