import assert from "node:assert/strict";
import { test } from "node:test";
import { groupLag, type LagAdmin } from "../bus/group-lag.ts";
import { testContext, until } from "../core/testing.ts";
import { monitoredGroups, watchLag } from "./lag.ts";

test("groups and topics are read from one text, and all mistakes are named", () => {
  assert.deepEqual(monitoredGroups.parse(" a:x.y+z-2 , b:w"), [
    { group: "a", topics: ["x.y", "z-2"] },
    { group: "b", topics: ["w"] },
  ]);
  assert.deepEqual(monitoredGroups.parse(""), []);
  const { error } = monitoredGroups.safeParse("a,b:,c:d,:e,f:g++h");
  assert.deepEqual(
    error?.issues.map(({ message }) => message.split(" ")[0]),
    ['"a"', '"b:"', '":e"', '"f:g++h"'],
  );
});

/** Two partitions from 10 to 30. */
function adminOf(committed: readonly string[]): LagAdmin {
  return {
    fetchTopicOffsets: () =>
      Promise.resolve([0, 1].map((partition) => ({ partition, offset: "30", low: "10", high: "30" }))),
    fetchOffsets: () =>
      Promise.resolve([
        {
          topic: "t",
          partitions: committed.map((offset, partition) => ({ partition, offset, metadata: null })),
        },
      ]),
  };
}

test("the lag is counted from the committed offset, or from the oldest record where there is none", async () => {
  const lag = async (...committed: string[]) => (await groupLag(adminOf(committed), "g", ["t"])).get("t");
  assert.equal(await lag("30", "30"), 0);
  assert.equal(await lag("12", "29"), 19);
  assert.equal(await lag("-1", "30"), 20);
  assert.equal(await lag("3", "31"), 20, "expired records count for nothing, nor does a newer commit");
  assert.equal(await lag(), 40);
});

test("a lag that cannot be read is not shown, and the next look is made all the same", async () => {
  const abort = new AbortController();
  const context = { ...testContext(), signal: abort.signal };
  let looks = 0;
  const good = adminOf(["20", "30"]);
  const admin: LagAdmin = {
    fetchTopicOffsets: (topic) => good.fetchTopicOffsets(topic),
    fetchOffsets: (options) => {
      looks += 1;
      return options.groupId === "broken" ? Promise.reject(new Error("no")) : good.fetchOffsets(options);
    },
  };
  context.metrics.groupLag.set({ group: "broken", topic: "t" }, 5);
  const groups = ["broken", "fine"].map((group) => ({ group, topics: ["t"] }));
  const watching = watchLag(admin, groups, context);
  await until("both were looked at", () => looks === 2);
  abort.abort();
  await watching;
  const metrics = await context.metrics.registry.metrics();
  assert.match(metrics, /trading_group_lag_records{group="fine",topic="t",service="test"} 10/);
  assert.doesNotMatch(metrics, /trading_group_lag_records{group="broken"/);
});
