import assert from "node:assert/strict";
import test from "node:test";
import { ClusterIdentity, demandSameArchive, demandSameProfile } from "./cluster-identity.ts";
import { record } from "./testing/recording.ts";

test("by default the business date is that of the session that goes on or comes next", async () => {
  for (const [now, businessDate] of [
    ["2025-10-14T12:00:00Z", "2025-10-14"],
    // Saturday; and the evening before Thanksgiving, after extended hours.
    ["2025-10-18T12:00:00Z", "2025-10-20"],
    ["2025-11-27T01:30:00Z", "2025-11-28"],
  ] as const) {
    const recording = await record(() => {
      new ClusterIdentity("cluster", { stack: "dev", openHours: 2, archive: "0a", now: new Date(now) });
    });
    const { keepers } = recording.one("random:index/randomString:RandomString").inputs;
    assert.equal((keepers as { businessDate: string }).businessDate, businessDate);
  }
});

test("id, date and deadline are fixed when first created", async () => {
  const seen: Record<string, string> = {};
  const recording = await record(() => {
    const identity = new ClusterIdentity("cluster", {
      stack: "dev",
      openHours: 2,
      archive: "0a",
      now: new Date("2025-10-14T12:00:00Z"),
    });
    identity.clusterId.apply((value) => (seen["clusterId"] = value));
    identity.businessDate.apply((value) => (seen["businessDate"] = value));
    identity.expiresAt.apply((value) => (seen["expiresAt"] = value));
    identity.archivePrefix.apply((value) => (seen["archivePrefix"] = value));
  });
  const identifier = recording.one("random:index/randomString:RandomString");
  assert.equal(identifier.inputs["length"], 21);
  assert.equal(identifier.inputs["special"], false);
  assert.deepEqual(identifier.inputs["keepers"], {
    businessDate: "2025-10-14",
    expiresAt: "1760450400",
    archive: "0a",
  });
  assert.deepEqual(identifier.ignoreChanges, ["keepers"]);
  assert.match(seen["clusterId"] ?? "", /^[A-Za-z0-9]{21}A$/);
  // A canonical Kafka id is 16 bytes in URL-safe base64.
  const bytes = Buffer.from(seen["clusterId"] ?? "", "base64url");
  assert.equal(bytes.length, 16);
  assert.equal(bytes.toString("base64url"), seen["clusterId"]);
  assert.equal(seen["businessDate"], "2025-10-14");
  assert.equal(seen["expiresAt"], "1760450400");
  assert.equal(seen["archivePrefix"], `dev/2025-10-14/${seen["clusterId"]}/`);
});

test("the end may come from a calendar", async () => {
  const recording = await record(() => {
    new ClusterIdentity("cluster", {
      stack: "dev",
      openHours: 2,
      archive: "0a",
      expiresAt: 1_760_479_200,
      now: new Date("2025-10-14T12:00:00Z"),
    });
  });
  const { keepers } = recording.one("random:index/randomString:RandomString").inputs;
  assert.equal((keepers as { expiresAt: string }).expiresAt, "1760479200");
});

test("the identifier keeps a profile other than the usual one", async () => {
  const recording = await record(() => {
    new ClusterIdentity("cluster", { stack: "dev", profile: "single-node", openHours: 2, archive: "0a" });
  });
  const { keepers } = recording.one("random:index/randomString:RandomString").inputs;
  assert.equal((keepers as { profile?: string }).profile, "single-node");
});

test("another bucket than that of the first up is refused", () => {
  demandSameArchive(undefined, "0a");
  demandSameArchive({ archive: "0a" }, "0a");
  assert.throws(
    () => demandSameArchive({ archive: "0b" }, "0a"),
    /trading:archive[^]*Set trading:archive back/,
  );
});

test("machines other than those of the first up are refused", () => {
  demandSameProfile(undefined, "cluster");
  demandSameProfile({ businessDate: "2025-10-14" }, "cluster");
  demandSameProfile({ profile: "single-node" }, "single-node");
  assert.throws(
    () => demandSameProfile({ profile: "single-node" }, "cluster"),
    /Set trading:profile to single-node/,
  );
  assert.throws(
    () => demandSameProfile({}, "single-node"),
    /would be removed\. Set trading:profile to cluster/,
  );
});
