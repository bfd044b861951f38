import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { topics, type TopicDefinition } from "./bus/topics.ts";
import { catalog, consumerGroups, drainingServices, drainsAfter, executionVenues } from "./catalog.ts";

const named = (name: string) => {
  const found = catalog.find((service) => service.name === name);
  assert.ok(found !== undefined, name);
  return found;
};

test("the drain has an order: each service can go once those before it went, down to the last", () => {
  const waiting = new Set(drainingServices());
  while (waiting.size > 0) {
    const free = [...waiting].filter((name) => !drainsAfter(named(name)).some((other) => waiting.has(other)));
    assert.ok(free.length > 0, `wait for each other: ${[...waiting].join(", ")}`);
    for (const name of free) waiting.delete(name);
  }
});

test("a service drains after everyone that writes what it reads; canaries and its own journal order nothing", () => {
  assert.deepEqual(drainsAfter(named("ingest-near-intents")), []);
  assert.deepEqual(drainsAfter(named("normalize-alpaca")), ["ingestion-alpaca-stockstream-api"]);
  assert.deepEqual(drainsAfter(named("strategy-dummy")), ["normalize-near-intents", "normalize-alpaca"]);
  const strategies = catalog
    .filter(({ writes }) => writes.includes("cmd.execute_trade"))
    .map(({ name }) => name);
  assert.ok(strategies.includes("strategy-dummy"));
  for (const executor of ["executor-near-intents", "executor-alpaca"])
    assert.deepEqual(drainsAfter(named(executor)), strategies);
  assert.deepEqual(
    drainsAfter(named("result-monitor")),
    executionVenues().map((venue) => `executor-${venue}`),
  );
});

test("canaries enter at raw topics that somebody reads, and every topic named is in the registry", () => {
  const known: TopicDefinition[] = Object.values(topics);
  for (const { name, recovers = [], probes = [] } of catalog) {
    for (const topic of [...recovers, ...probes])
      assert.ok(
        known.some((each) => each.name === topic),
        `${name}: ${topic}`,
      );
    for (const topic of probes) {
      assert.equal(known.find((each) => each.name === topic)?.class, "raw", `${name}: ${topic}`);
      assert.ok(
        catalog.some(({ reads }) => reads.includes(topic)),
        topic,
      );
    }
  }
});

test("every raw topic is probed, so that trading-ready speaks of every path", () => {
  const raw = Object.values(topics).filter((topic) => topic.class === "raw");
  const probed = catalog.flatMap(({ probes = [] }) => probes);
  assert.deepEqual(probed.sort(), raw.map(({ name }) => name).sort());
});

test("consumer groups are those of the services that read; the archiver has none", () => {
  assert.deepEqual(consumerGroups().find(({ group }) => group === "strategy-dummy")?.topics, [
    "norm.swap_demand",
    "norm.stock_trade",
  ]);
  assert.ok(!consumerGroups().some(({ group }) => group === "archiver" || group === "prepare-day"));
  for (const venue of ["near-intents", "alpaca"]) assert.ok(executionVenues().includes(venue), venue);
});

test("every entry point is there", () => {
  const root = path.join(import.meta.dirname, "..");
  for (const { entry } of catalog) assert.ok(existsSync(path.join(root, entry)), entry);
});
