import assert from "node:assert/strict";
import test from "node:test";
import { ExportGate } from "./export-gate.ts";
import { exampleCluster } from "./testing/example-cluster.ts";
import { record } from "./testing/recording.ts";

test("the gate does nothing until it is deleted, and then only asks the archive", async () => {
  const recording = await record(() => {
    const { identity, k3s } = exampleCluster("prod");
    new ExportGate("export-gate", {
      stack: "prod",
      identity,
      archive: { endpoint: "https://s3.example.com", region: "fsn1", bucket: "archive" },
      archiveAccessKeyId: "id",
      archiveSecretAccessKey: "secret",
      after: [k3s],
    });
  });
  const gate = recording.one("command:local:Command");
  const { environment, ...inputs } = gate.inputs as { environment: Record<string, string> };
  assert.deepEqual(inputs, {
    create: ":",
    update: ":",
    delete: "node --import tsx services/archive/gate.ts",
    // Relative: whoever destroys has the project somewhere else.
    dir: ".",
  });
  assert.deepEqual(
    { ...environment, CLUSTER_ID: "" },
    {
      STACK: "prod",
      BUSINESS_DATE: "2025-10-14",
      CLUSTER_ID: "",
      S3_ENDPOINT: "https://s3.example.com",
      S3_REGION: "fsn1",
      S3_BUCKET: "archive",
      S3_ACCESS_KEY_ID: "id",
      S3_SECRET_ACCESS_KEY: "secret",
    },
  );
  assert.match(environment["CLUSTER_ID"] ?? "", /^[A-Za-z0-9]{21}A$/);
  assert.deepEqual([...gate.secretInputs].sort(), [
    "environment.S3_ACCESS_KEY_ID",
    "environment.S3_SECRET_ACCESS_KEY",
  ]);
  assert.equal(gate.deletedWith, "");
});
