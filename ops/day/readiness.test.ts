import assert from "node:assert/strict";
import { test } from "node:test";
import { ReadinessState } from "../../services/archive/readiness-writer.ts";
import { ArchiveUnreachableError, type ArchiveStore } from "../../services/archive/store.ts";
import { MemoryStore } from "../../services/archive/memory-store.ts";
import type { ControlMessage } from "../../services/bus/control.ts";
import type { ClusterParts } from "../cluster/parts.ts";
import { readClocks } from "./clocks.ts";
import { judgePositions } from "./positions.ts";
import { NotReadyError, waitForReady } from "./readiness.ts";

const cluster = { clusterId: "A", businessDate: "2025-10-14" };
const key = "dev/2025-10-14/A/trading-ready.json";
const at = "2025-10-14T12:30:00.000Z";
const ready: ControlMessage = { type: "trading_ready", at, canaries: ["c"], accounts: [] };

function documentOf(...messages: ControlMessage[]) {
  const state = new ReadinessState();
  for (const message of messages) state.apply(message);
  return state.document({ stack: "dev", ...cluster }, 0);
}

/** @param looks what is in the bucket at each look: a document, nothing, or an error; the last one stays */
function play(...looks: (object | string | undefined)[]) {
  let now = 0;
  let look = 0;
  const said: string[] = [];
  const store = new MemoryStore();
  const get = async (): Promise<unknown> => {
    const found = looks[Math.min(look++, looks.length - 1)];
    if (typeof found === "string") throw new ArchiveUnreachableError(found);
    if (found === undefined) return undefined;
    await store.putJson(key, found);
    return store.get(key);
  };
  const parts = {
    stack: "dev",
    archiveStore: { get } as unknown as ArchiveStore,
    reporter: { note: () => undefined, progress: (line: string) => void said.push(line) },
    signal: new AbortController().signal,
    now: () => new Date(now),
  } as unknown as ClusterParts;
  const pause = async (milliseconds: number): Promise<void> => void (now += milliseconds);
  return { said, waiting: waitForReady(parts, { cluster, timeoutMs: 60_000, pause }), elapsed: () => now };
}

test("it waits through a bucket that is away, a document that is not there and one that is broken", async () => {
  const { said, waiting, elapsed } = play(
    undefined,
    "the bucket does not answer",
    { ready: "yes" },
    documentOf(ready),
  );
  assert.equal((await waiting).ready, true);
  assert.equal(elapsed(), 3_000);
  assert.match(said[0] ?? "", /^waiting for trading-ready, 60 s left: the archiver has not written/);
  assert.match(said[1] ?? "", /59 s left: the bucket does not answer$/);
  assert.match(said[2] ?? "", /trading-ready\.json is not valid: /);
});

test("what is missing at the end of the time is told", async () => {
  const late: ControlMessage = {
    type: "trading_not_ready",
    at,
    missing: ["alpaca partition 0", "alpaca partition 1"],
  };
  const told = (message: RegExp) => (error: unknown) =>
    error instanceof NotReadyError && message.test(error.message);
  await assert.rejects(
    play(documentOf(late)).waiting,
    told(
      /dev\/2025-10-14\/A is up and not ready to trade after 60 s:\n {2}- alpaca partition 0\n {2}- alpaca partition 1$/,
    ),
  );
  await assert.rejects(play(documentOf()).waiting, told(/the monitor has not said anything yet/));
  await assert.rejects(play("no such bucket").waiting, told(/no such bucket/));
});

test("the cluster's clock decides, this machine's is a warning, and so is one that does not tell", async () => {
  const { signal } = new AbortController();
  const source = (name: string, aheadMs: number) => ({
    name,
    ask: async () => ({ theirs: 0, askedAt: 1_000 + aheadMs, answeredAt: 1_000 + aheadMs }),
  });
  const silent = { name: "the bucket", ask: () => Promise.reject(new Error("no Date")) };
  const read = await readClocks({ signal }, [source("Hetzner", 3_000), silent], { clockSkewMs: -1_500 });
  assert.deepEqual(read.machine, [
    { source: "Hetzner", skewMs: 3_000 },
    { source: "the bucket", skewMs: null },
  ]);
  assert.match(read.warnings.join("\n"), /this machine's clock is at least 3\.0 s ahead of that of Hetzner/);
  assert.match(read.warnings.join("\n"), /the bucket does not tell its time: no Date/);
  assert.match(
    read.problems.join(),
    /^the cluster's clock is at least 1\.5 s behind that of the bucket's server/,
  );
  const fine = await readClocks({ signal }, [source("Hetzner", 900)], { clockSkewMs: 1_000 });
  assert.deepEqual([fine.warnings, fine.problems], [[], []]);
  assert.match((await readClocks({ signal }, [], { clockSkewMs: null })).warnings.join(), /was not compared/);
  assert.deepEqual((await readClocks({ signal }, [], undefined)).warnings, []);
});

test("a kill switch keeps from trading; a mismatch that a person has released is a warning", () => {
  const mismatch = { venue: "alpaca", outcome: "mismatch", at, differences: ["SPY"] } as const;
  const stopped = [{ scope: "*", reason: "prices look wrong", by: "ops", at }];
  const accounts = [
    { ...mismatch, differences: ["SPY"] },
    { venue: "near", outcome: "matched" as const, at, differences: [] },
  ];
  const blocked = judgePositions({ accounts, stopped });
  assert.match(
    blocked.problems.join(),
    /^trading everywhere was stopped by ops at [^]*: prices look wrong\. /,
  );
  assert.deepEqual(blocked.warnings, []);
  const released = judgePositions({ accounts, stopped: [] });
  assert.deepEqual(released.problems, []);
  assert.match(
    released.warnings.join(),
    /alpaca's account differed from our books, and a person has released/,
  );
  assert.deepEqual(released.lines, [
    `alpaca: differed at ${at}: SPY`,
    `near: positions as in our books at ${at}`,
  ]);
  assert.match(judgePositions({ accounts: null, stopped: [] }).warnings.join(), /is not known/);
});
