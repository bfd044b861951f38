import assert from "node:assert/strict";
import { test } from "node:test";
import { LabError } from "../errors.ts";
import { parseChaosOptions } from "./options.ts";

test("the defaults, and every option", () => {
  assert.deepEqual(parseChaosOptions([]), {
    commands: 1_000,
    seed: 1,
    rate: 20,
    mutation: undefined,
    json: false,
  });
  const given = "--commands 50 --seed 7 --rate 3 --mutate no-fencing --json".split(" ");
  assert.deepEqual(parseChaosOptions(given), {
    commands: 50,
    seed: 7,
    rate: 3,
    mutation: "no-fencing",
    json: true,
  });
  assert.equal(parseChaosOptions(["--help"]), "help");
});

test("all mistakes come together, with exit code 2", () => {
  const mistakes = "--commands 0 --seed x --rate 1.5 --mutate all".split(" ");
  assert.throws(
    () => parseChaosOptions(mistakes),
    (error) =>
      error instanceof LabError &&
      error.exitCode === 2 &&
      ["--commands", "--seed", "--rate", "--mutate"].every((name) =>
        error.message.includes(`${name}: found`),
      ),
  );
  assert.throws(() => parseChaosOptions(["--what"]), LabError);
});
