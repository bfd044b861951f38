import assert from "node:assert/strict";
import { test } from "node:test";
import { pino } from "pino";
import type { AccountComparison, ControlMessage } from "../bus/control.ts";
import { until } from "../core/testing.ts";
import type { ClusterArchive } from "./cluster-archive.ts";
import { tradingReadySchema, type TradingReady } from "./documents.ts";
import { ReadinessState, ReadinessWriter } from "./readiness-writer.ts";

const identity = { stack: "dev", businessDate: "2025-10-14", clusterId: "c" };
const at = "2025-10-14T12:30:00.000Z";
const matched: AccountComparison = { venue: "alpaca", outcome: "matched", at, differences: [] };
const ready: ControlMessage = { type: "trading_ready", at, canaries: ["a", "b"], accounts: [matched] };
const late: ControlMessage = { type: "trading_not_ready", at, missing: ["no answer to canaries: alpaca"] };
const killSwitch = (state: "engaged" | "released", scope: string): ControlMessage => ({
  type: "kill_switch",
  state,
  scope,
  reason: `account_mismatch: SPY at ${scope}`,
  by: "executor-alpaca",
  at,
});

function documentOf(...messages: readonly ControlMessage[]): TradingReady {
  const state = new ReadinessState();
  for (const message of messages) state.apply(message);
  return tradingReadySchema.parse(state.document(identity, null));
}

test("the control topic's messages are the document", () => {
  const nothing = documentOf();
  assert.deepEqual(
    [nothing.ready, nothing.readyAt, nothing.accounts, nothing.missing],
    [false, null, null, []],
  );
  const is = documentOf(late, ready);
  assert.deepEqual([is.ready, is.readyAt, is.canaries, is.missing], [true, at, 2, []]);
  assert.deepEqual(is.accounts, [matched]);
  const lost = documentOf(ready, late);
  assert.deepEqual([lost.ready, lost.readyAt, lost.missing], [false, at, late.missing]);
  const older = documentOf({ type: "trading_ready", at, canaries: ["a"] });
  assert.deepEqual([older.ready, older.accounts], [true, null], "a monitor that does not tell of accounts");
});

test("what is stopped stands in it until it is released", () => {
  const scopes = ({ stopped }: TradingReady) => stopped.map(({ scope }) => scope);
  const engaged = [killSwitch("engaged", "alpaca"), killSwitch("engaged", "*")];
  assert.deepEqual(scopes(documentOf(ready, ...engaged)), ["alpaca", "*"]);
  assert.deepEqual(scopes(documentOf(...engaged, killSwitch("released", "alpaca"), ready)), ["*"]);
  assert.deepEqual(scopes(documentOf(...engaged, killSwitch("released", "*"))), []);
});

test("a cluster that is being closed is not ready again", () => {
  const closing = documentOf(ready, { type: "drain", requestId: "r", at }, ready, late);
  assert.equal(closing.ready, false);
  assert.match(closing.missing[0] ?? "", /being closed/);
});

test("it is written at once, at each change, and until the bucket takes it", async () => {
  const stop = new AbortController();
  const written: TradingReady[] = [];
  let failures = 2;
  const archive = {
    identity,
    // As if our clock were ahead.
    store: { askTime: async () => ({ theirs: 0, askedAt: 9_000, answeredAt: 9_000 }) },
    write: async (_name: string, document: TradingReady) => {
      if (failures-- > 0) throw new Error("the bucket is away");
      written.push(document);
    },
  } as unknown as ClusterArchive;
  const logger = pino({ level: "silent" });
  const writer = new ReadinessWriter({ archive, logger, signal: stop.signal, pauseMs: 5 });
  writer.take(late);
  writer.start();
  await until("the first is written", () => written.length === 1);
  writer.take(ready);
  await until("the change is written", () => written.at(-1)?.ready === true);
  assert.deepEqual(written[0]?.missing, late.missing);
  assert.equal(written[0]?.clockSkewMs, 8_000);
  writer.take({ type: "drained", service: "s", requestId: "r", at });
  stop.abort();
  await writer.stop();
  assert.equal(written.length, 2, "what changes nothing is not written");
});
