import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import test from "node:test";
import { ruleGroups } from "./alert-rules.ts";

const rules = ruleGroups("2025-10-14", 3).flatMap((group) => group.rules);
const alerts = rules.flatMap((rule) => ("alert" in rule ? [rule] : []));
const expression = (name: string) => {
  const found = alerts.find((rule) => rule.alert === name);
  assert.ok(found !== undefined, name);
  return found.expr;
};

test("what seed 000 and DESIGN 3 want watched is watched", () => {
  assert.deepEqual(alerts.map((rule) => rule.alert).sort(), [
    "AccountMismatch",
    "BrokerMissing",
    "BrokerThroughput",
    "CommandUnknown",
    "CommandsGivenUp",
    "CommandsWaiting",
    "ConsumerLag",
    "DeadLetters",
    "KillSwitchEngaged",
    "LateFill",
    "PodRestarts",
    "SecondResult",
    "SilentNearFeed",
    "SilentStockFeed",
    "TradeLatencyP95",
    "TradingNotReady",
    "UnderReplicatedPartitions",
  ]);
  assert.match(expression("TradeLatencyP95"), /^histogram_quantile\(0\.95, /);
  assert.match(expression("PodRestarts"), /kube_pod_container_status_restarts_total/);
  assert.match(expression("ConsumerLag"), /kafka_consumergroup_lag/);
});

test("what only makes sense in market hours knows them; the NEAR relay never closes", () => {
  const [opensAt, closesAt] = ["2025-10-14T13:30:00Z", "2025-10-14T20:00:00Z"].map(
    (at) => Date.parse(at) / 1000,
  );
  const hours = `(vector(time()) >= ${opensAt}) and (vector(time()) < ${closesAt})`;
  const timed = alerts.filter(({ expr }) => expr.includes("time()")).map(({ alert }) => alert);
  assert.deepEqual(timed.sort(), ["SilentStockFeed", "TradingNotReady"]);
  for (const name of timed) assert.ok(expression(name).endsWith(`and on () (${hours})`), name);
});

test("after an early close, and on a date without a session, the market is not open", () => {
  const rule = (date: string): string =>
    ruleGroups(date, 3)
      .flatMap(({ rules: each }) => each)
      .find((each) => "alert" in each && each.alert === "SilentStockFeed")?.expr ?? "";
  assert.ok(rule("2025-11-28").includes(`(vector(time()) < ${Date.parse("2025-11-28T18:00:00Z") / 1000})`));
  assert.ok(rule("2025-12-25").endsWith("and on () ((vector(0) > 0))"), rule("2025-12-25"));
});

test("a single broker can be missing, but lacks no replica", () => {
  const single = ruleGroups("2025-10-14", 1).flatMap((group) => group.rules);
  const named = (name: string) => single.find((rule) => "alert" in rule && rule.alert === name);
  assert.equal(named("UnderReplicatedPartitions"), undefined);
  assert.ok(named("BrokerMissing")?.expr.endsWith(" < 1"));
  assert.ok(expression("BrokerMissing").endsWith(" < 3"));
  assert.equal(single.length, rules.length - 1);
});

test("no rule compares two scalars, which PromQL refuses", () => {
  for (const { expr } of rules) assert.doesNotMatch(expr, /(?<!vector\()\btime\(\) *[<>=!]/);
});

test("every metric of ours that a rule names is one that the services have", () => {
  const services = new URL("../services/", import.meta.url);
  const source = readdirSync(services, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts") && !file.endsWith(".test.ts"))
    .map((file) => readFileSync(new URL(file, services), "utf8"))
    .join("\n");
  const used = new Set(
    rules
      .flatMap((rule) => rule.expr.match(/\btrading_[a-z0-9_]+/g) ?? [])
      .map((name) => name.replace(/_bucket$/, "")),
  );
  assert.ok(used.size >= 8);
  for (const name of used) assert.ok(source.includes(`name: "${name}"`), name);
});
