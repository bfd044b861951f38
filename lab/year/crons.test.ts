import assert from "node:assert/strict";
import { test } from "node:test";
import { LabError } from "../errors.ts";
import { Cron } from "./crons.ts";
import { readSchedules } from "./starts.ts";

const between = (line: string, from: string, until: string): string[] =>
  new Cron(line).between(new Date(from), new Date(until)).map((start) => start.toISOString().slice(0, 16));

test("lists, ranges and steps of all fields give each start once, in order, without the end", () => {
  assert.deepEqual(between("7,37 10-11 * * 1-5", "2026-10-23T00:00Z", "2026-10-26T11:37Z"), [
    "2026-10-23T10:07",
    "2026-10-23T10:37",
    "2026-10-23T11:07",
    "2026-10-23T11:37",
    "2026-10-26T10:07",
    "2026-10-26T10:37",
    "2026-10-26T11:07",
  ]);
  assert.deepEqual(between("*/20 5 1 1 *", "2026-01-01T00:00Z", "2027-01-01T00:00Z"), [
    "2026-01-01T05:00",
    "2026-01-01T05:20",
    "2026-01-01T05:40",
  ]);
  assert.deepEqual(between("0 0 * * 7", "2026-10-19T00:00Z", "2026-10-26T00:00Z"), ["2026-10-25T00:00"]);
  // Both kinds of days: either suffices.
  assert.deepEqual(between("0 0 20 * 0", "2026-10-19T00:00Z", "2026-10-26T00:00Z"), [
    "2026-10-20T00:00",
    "2026-10-25T00:00",
  ]);
});

test("what is no cron line is refused with the field and its range", () => {
  for (const [line, reason] of [
    ["* * * *", /five fields/],
    ["60 * * * *", /minute is "60", expected numbers from 0 to 59/],
    ["* 5-3 * * *", /hour/],
    ["* * * * MON", /day of the week/],
    ["*/0 * * * *", /minute/],
  ] as const) {
    assert.throws(
      () => new Cron(line),
      (error: unknown) => error instanceof LabError && reason.test(error.message),
      line,
    );
  }
});

test("the year is started by the repository's own workflows", () => {
  for (const [job, { crons }] of Object.entries(readSchedules())) assert.ok(crons.length > 0, job);
});
