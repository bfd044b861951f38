import assert from "node:assert/strict";
import { test } from "node:test";
import { LabError } from "../lab/errors.ts";
import { benchmarks, parseBenchOptions } from "./options.ts";

test("without names everything is measured, on one broker", () => {
  assert.deepEqual(parseBenchOptions([]), {
    names: benchmarks,
    brokers: 1,
    quick: false,
    json: false,
    profile: undefined,
  });
});

test("names keep the order of the list, whatever order they are given in", () => {
  const options = parseBenchOptions(["events", "produce", "--brokers", "3", "--quick"]);
  assert.ok(options !== "help");
  assert.deepEqual(options.names, ["produce", "events"]);
  assert.equal(options.brokers, 3);
  assert.equal(options.quick, true);
});

test("every mistake is named at once, with exit code 2", () => {
  assert.throws(
    () => parseBenchOptions(["everything", "--brokers", "2"]),
    (error) =>
      error instanceof LabError &&
      error.exitCode === 2 &&
      error.message.includes("everything") &&
      error.message.includes('--brokers: found "2"'),
  );
  assert.throws(() => parseBenchOptions(["--fast"]), /--fast/);
});

test("help wins over mistakes", () => {
  assert.equal(parseBenchOptions(["nonsense", "--help"]), "help");
});
