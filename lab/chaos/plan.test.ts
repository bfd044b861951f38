import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { makePlan, type PlanArguments } from "./plan.ts";
import { poisonKinds } from "./poison.ts";

const targets = [
  { name: "ingest" },
  { name: "normalize" },
  { name: "strategy" },
  { name: "executor-a-0", venue: "a" },
  { name: "executor-a-1", venue: "a" },
  { name: "executor-b-0", venue: "b" },
  { name: "executor-b-1", venue: "b" },
];
const usual: PlanArguments = {
  seed: 1,
  loadSeconds: 50,
  targets,
  brokers: 3,
  poisons: poisonKinds,
  mutation: undefined,
};

test("the same seed gives the same plan, another seed another", () => {
  assert.deepEqual(makePlan(usual), makePlan(usual));
  assert.notDeepEqual(makePlan(usual), makePlan({ ...usual, seed: 2 }));
});

test("whatever the seed and length: everything is replaced, killed and poisoned, and the plan ends when it says", () => {
  fc.assert(
    fc.property(fc.nat(), fc.integer({ min: 1, max: 600 }), (seed, loadSeconds) => {
      const { actions, orderlyUntil, seconds } = makePlan({ ...usual, seed, loadSeconds });
      assert.deepEqual(
        actions.map(({ at }) => at),
        actions.map(({ at }) => at).sort((a, b) => a - b),
      );
      assert.ok(seconds >= loadSeconds && actions.every(({ at }) => at <= seconds));
      for (const { name, venue } of targets) {
        const own = actions.filter((action) => "process" in action && action.process === name);
        assert.ok(own.some(({ kind }) => kind === "replace"));
        assert.ok(own.some(({ kind }) => kind === "kill"));
        if (venue === undefined) assert.ok(own.every(({ kind }) => kind !== "freeze"));
      }
      for (const { at, kind } of actions)
        if (kind === "kill" || kind === "freeze" || kind === "broker") assert.ok(at > orderlyUntil);
      for (const venue of ["a", "b"]) {
        const freezes = actions.filter(
          (action) => action.kind === "freeze" && action.process.startsWith(`executor-${venue}`),
        );
        assert.ok(freezes.length > 0);
        for (const freeze of freezes) assert.ok(freeze.kind === "freeze" && freeze.seconds > 10);
      }
      assert.ok(actions.some(({ kind }) => kind === "broker"));
      assert.deepEqual(
        actions.flatMap((action) => (action.kind === "poison" ? [action.poison] : [])).sort(),
        [...poisonKinds].sort(),
      );
    }),
    { numRuns: 50 },
  );
});

test("a longer load is met with more kills", () => {
  const kills = (loadSeconds: number) =>
    makePlan({ ...usual, loadSeconds }).actions.filter(({ kind }) => kind === "kill").length;
  assert.ok(kills(500) > 5 * kills(50));
});

test("a mutated executor meets only what its safeguard is there for", () => {
  const kinds = (mutation: PlanArguments["mutation"]) => [
    ...new Set(makePlan({ ...usual, mutation }).actions.map(({ kind }) => kind)),
  ];
  assert.deepEqual(kinds("no-intent"), ["kill"]);
  assert.deepEqual(kinds("no-fencing"), ["freeze"]);
});
