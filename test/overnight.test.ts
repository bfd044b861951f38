/** Positions from one day's sealed archive to the next day's first account, over a bucket in memory. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { writeOpened, writeSealedArchive } from "../lab/cluster-inside/sealed-archive.ts";
import { compareOvernight } from "../ops/day/overnight.ts";
import type { ArchivedRecord } from "../services/archive/line.ts";
import { MemoryStore } from "../services/archive/memory-store.ts";
import { loadedDocument } from "../services/archive/predecessor.ts";
import type { ArchiveStore } from "../services/archive/store.ts";
import type { AccountComparison } from "../services/bus/control.ts";
import { encodeEvent } from "../services/core/envelope.ts";
import { newEvent } from "../services/core/events.ts";
import { derivedEventId } from "../services/core/ids.ts";
import type { AccountSnapshot, Reconciliation } from "../services/core/trading.ts";

const at = "2025-10-13T20:00:00.000Z";
const positionsOf = (held: Record<string, string>): AccountSnapshot["positions"] =>
  Object.entries(held).map(([symbol, quantity]) => ({ symbol, quantity }));

function said(offset: number, kind: "account_baseline" | "account_matched", held: Record<string, string>) {
  const account = { cash: "1", positions: positionsOf(held), open_orders: [] };
  const payload: Reconciliation = { kind, at, account };
  const event = newEvent("exec.reconciliation", {
    event_id: derivedEventId("exec.reconciliation", "alpaca", String(offset)),
    venue: "alpaca",
    observed_at: at,
    ingested_at: at,
    payload,
  });
  const record: ArchivedRecord = {
    topic: "exec.reconciliation",
    partition: 0,
    offset: String(offset),
    timestamp: String(Date.parse(at)),
    key: Buffer.from("alpaca"),
    headers: [],
    value: encodeEvent(event),
  };
  return record;
}

async function compared(records: ArchivedRecord[] | undefined, held: Record<string, string>) {
  const store = new MemoryStore();
  const archiveStore = store as MemoryStore & ArchiveStore;
  if (records !== undefined) {
    const yesterday = store.archive({ stack: "dev", businessDate: "2025-10-13", clusterId: "Y" });
    await writeSealedArchive(yesterday, { records });
    await yesterday.write(loadedDocument, {});
  }
  const cluster = { businessDate: "2025-10-14", clusterId: "T" };
  await writeOpened(store.archive({ stack: "dev", ...cluster }));
  const account: AccountComparison = {
    venue: "alpaca",
    outcome: "recorded",
    at,
    differences: [],
    positions: positionsOf(held),
  };
  return compareOvernight({ stack: "dev", archiveStore }, cluster, { accounts: [account] });
}

test("positions are held against those that the last day left, and what changed in between is told", async () => {
  const records = [
    said(0, "account_baseline", { SPY: "1" }),
    said(1, "account_matched", { SPY: "7", QQQ: "2" }),
  ];
  assert.deepEqual(await compared(records, { SPY: "7.0", QQQ: "2" }), {
    lines: ["alpaca: 2 positions as dev/2025-10-13/Y left them"],
    warnings: [],
  });
  const { lines, warnings } = await compared(records, { SPY: "7", AAPL: "3" });
  assert.deepEqual(lines, []);
  assert.match(
    warnings.join(),
    /not as dev\/2025-10-13\/Y left it: AAPL was 0 and is 3; QQQ was 2 and is 0\./,
  );
});

test("without an earlier day, or one that tells of the account, that is said", async () => {
  assert.match((await compared(undefined, {})).lines.join(), /^no earlier day/);
  const baseline = [said(0, "account_baseline", { SPY: "1" })];
  assert.match((await compared(baseline, { SPY: "1" })).warnings.join(), /says nothing of its account/);
  const broken = said(0, "account_matched", {});
  broken.value = Buffer.from("{}");
  assert.match((await compared([broken], {})).warnings.join(), /were not compared with the last day's: /);
});
