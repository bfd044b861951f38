import assert from "node:assert/strict";
import { test } from "node:test";
import { StackUnavailableError } from "../ops/engine/stack-engine.ts";
import { stateBucketSettings } from "./state-settings.ts";

const environment = {
  LAB_STATE_S3_ENDPOINT: "http://127.0.0.1:1",
  LAB_STATE_S3_REGION: "fsn1",
  LAB_STATE_S3_ACCESS_KEY_ID: "id",
  LAB_STATE_S3_SECRET_ACCESS_KEY: "secret",
};

test("a file needs nothing else; a bucket needs to be reached", () => {
  assert.deepEqual(stateBucketSettings({}, "state.json", "/project"), { stateFile: "/project/state.json" });
  assert.deepEqual(
    stateBucketSettings({ ...environment, LAB_STATE_LEASE_SECONDS: "5" }, "s3://b/k.json", "/project"),
    {
      stateFile: "s3://b/k.json",
      stateBucket: {
        endpoint: "http://127.0.0.1:1",
        region: "fsn1",
        credentials: { accessKeyId: "id", secretAccessKey: "secret" },
        leaseMs: 5_000,
      },
    },
  );
});

test("all that is missing or wrong is told together", () => {
  assert.throws(
    () => stateBucketSettings({ LAB_STATE_LEASE_SECONDS: "soon" }, "s3://b", "/project"),
    (error: unknown) => {
      assert.ok(error instanceof StackUnavailableError);
      for (const name of [...Object.keys(environment), "LAB_STATE_FILE", "LAB_STATE_LEASE_SECONDS"]) {
        assert.ok(error.message.includes(`${name}: is`), name);
      }
      return true;
    },
  );
});
