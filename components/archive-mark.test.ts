import assert from "node:assert/strict";
import test from "node:test";
import { archiveMark } from "./archive-mark.ts";

test("another service or bucket is another mark, and it fits in a label; ports of this machine do not count", () => {
  const mark = archiveMark({
    endpoint: "https://fsn1.your-objectstorage.com",
    bucket: "trading-archive-prod",
  });
  assert.match(mark, /^[0-9a-f]{16}$/);
  assert.equal(
    mark,
    archiveMark({ endpoint: "https://FSN1.your-objectstorage.com/", bucket: "trading-archive-prod" }),
  );
  for (const other of [
    { endpoint: "https://nbg1.your-objectstorage.com", bucket: "trading-archive-prod" },
    { endpoint: "https://fsn1.your-objectstorage.com", bucket: "trading-archive-dev" },
    { endpoint: "http://127.0.0.1:8333", bucket: "trading-archive-prod" },
  ])
    assert.notEqual(archiveMark(other), mark);
  const local = (endpoint: string) => archiveMark({ endpoint, bucket: "archive" });
  assert.equal(local("http://127.0.0.1:8333"), local("http://localhost:9000"));
});
