import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseDayOptions } from "./options.ts";

test("the defaults are the README's", () => {
  assert.deepEqual(parseDayOptions([]), {
    stack: "dev",
    engine: "lab",
    profile: undefined,
    brokers: undefined,
    kubernetes: "rendered",
    events: 5000,
    rate: 250,
    seed: 1,
    feed: undefined,
    keep: false,
    json: false,
  });
});

test("every mistake is told at once, with exit code 2", () => {
  const wrong = [
    "--stack=test",
    "--engine=x",
    "--profile=double-node",
    "--brokers=2",
    "--kubernetes=minikube",
    "--events=0",
    "--rate=-1.5",
    "--seed=one",
    "--feed=absent",
  ];
  assert.throws(
    () => parseDayOptions(wrong),
    (error: Error & { exitCode?: number }) => {
      assert.equal(error.exitCode, 2);
      for (const name of ["stack", "engine", "profile", "brokers", "events", "rate", "seed", "feed"])
        assert.match(error.message, new RegExp(`^  --${name}: `, "m"));
      return true;
    },
  );
});

test("an unknown option is wrong usage", () => {
  assert.throws(() => parseDayOptions(["--evnets", "3"]), { exitCode: 2 });
  assert.throws(() => parseDayOptions(["stray"]), { exitCode: 2 });
});

test("any number in range is taken as it stands", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 10_000_000 }), fc.nat(), (events, seed) => {
      const options = parseDayOptions(["--events", String(events), "--seed", String(seed)]);
      assert.ok(options !== "help");
      assert.deepEqual([options.events, options.seed], [events, seed]);
    }),
  );
});
