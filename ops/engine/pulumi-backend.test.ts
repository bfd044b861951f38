import assert from "node:assert/strict";
import { test } from "node:test";
import { bucketBackendOf, leaseKey, locksPrefix } from "./pulumi-backend.ts";

const keys = { AWS_ACCESS_KEY_ID: "id", AWS_SECRET_ACCESS_KEY: "secret" };

test("a backend's address says which bucket, how it is reached and where a stack's locks are", () => {
  const url =
    "s3://states/team/a?endpoint=https://fsn1.your-objectstorage.com&region=fsn1&s3ForcePathStyle=true";
  const backend = bucketBackendOf(url, keys);
  assert.deepEqual(backend, {
    prefix: "team/a/",
    settings: {
      bucket: "states",
      endpoint: "https://fsn1.your-objectstorage.com",
      region: "fsn1",
      virtualHosts: false,
      credentials: { accessKeyId: "id", secretAccessKey: "secret", sessionToken: undefined },
    },
  });
  assert.equal(locksPrefix(backend, "trading", "dev"), "team/a/.pulumi/locks/organization/trading/dev/");
  assert.equal(leaseKey(backend, "trading", "dev"), "team/a/.trading/leases/trading/dev.json");
});

test("what the address leaves out comes from AWS's variables; an endpoint may have no scheme", () => {
  const { prefix, settings } = bucketBackendOf("s3://states", { AWS_REGION: "eu-central-1" }) ?? {};
  assert.deepEqual(
    [prefix, settings?.endpoint, settings?.region, settings?.virtualHosts, settings?.credentials],
    ["", undefined, "eu-central-1", true, undefined],
  );
  const plain = bucketBackendOf("s3://b?endpoint=127.0.0.1:9000&disableSSL=true&s3ForcePathStyle=true", keys);
  assert.equal(plain?.settings.endpoint, "http://127.0.0.1:9000");
});

test("other backends are none in a bucket of ours", () => {
  for (const url of ["file:///a", "https://api.pulumi.com", "gs://b", ""]) {
    assert.equal(bucketBackendOf(url, keys), undefined);
  }
});
