import assert from "node:assert/strict";
import { test } from "node:test";
import { exitCodes, LabError } from "../errors.ts";
import { parseYearOptions } from "./options.ts";

test("without options: a usual year of dev", () => {
  assert.deepEqual(parseYearOptions([]), {
    seed: 1,
    days: 365,
    from: "2026-01-01",
    stacks: ["dev"],
    density: "usual",
    lanes: 2,
    mutation: undefined,
    json: false,
  });
  assert.equal(parseYearOptions(["--help"]), "help");
});

test("all mistakes are told at once", () => {
  assert.throws(
    () =>
      parseYearOptions(
        "--seed x --days 0 --from tomorrow --stack both,prod --faults many --lanes 9 --mutate all".split(" "),
      ),
    (error: unknown) => {
      assert.ok(error instanceof LabError);
      assert.equal(error.exitCode, exitCodes.usage);
      for (const option of ["seed", "days", "from", "stack", "faults", "lanes", "mutate"])
        assert.match(error.message, new RegExp(`--${option}: found`));
      return true;
    },
  );
});
