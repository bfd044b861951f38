import assert from "node:assert/strict";
import { test } from "node:test";
import { plusDays } from "../../ops/calendar/zoned-time.ts";
import { describeFault, faultsOf } from "./faults.ts";
import type { Density } from "./options.ts";
import { readSchedules, startsOf } from "./starts.ts";

const dates = Array.from({ length: 365 }, (_, index) => plusDays("2026-01-01", index));
const year = (seed: number, density: Density) => dates.map((date) => faultsOf(seed, "dev", date, density));

test("a seed says what goes wrong; a year meets every kind of fault, in both densities", () => {
  assert.deepEqual(year(1, "usual"), year(1, "usual"));
  assert.notDeepEqual(year(1, "usual"), year(2, "usual"));
  for (const density of ["usual", "dense"] as const) {
    const kinds = new Set(year(1, density).flatMap((faults) => faults.map(({ kind }) => kind)));
    assert.equal(kinds.size, 12, [...kinds].join());
  }
  const broken = (density: Density) => year(1, density).filter(({ length }) => length > 0).length;
  assert.ok(broken("usual") > 40 && broken("usual") < 200, String(broken("usual")));
  assert.ok(broken("dense") > 200, String(broken("dense")));
});

test("faults of crons move, drop and double the starts that matter", () => {
  const date = "2026-10-20";
  const schedules = readSchedules();
  const starts = (...faults: Parameters<typeof startsOf>[0]["faults"][number][]) =>
    startsOf({
      seed: 1,
      stack: "dev",
      date,
      schedules,
      faults,
      matters: { open: new Date(`${date}T11:30:00Z`), close: new Date(`${date}T14:15:00Z`) },
    }).filter(({ job }) => job === "open");
  const usual = starts();
  const count = usual.length;
  assert.ok(count > 1);
  assert.equal(starts({ kind: "cron-dropped", job: "open", all: true }).length, 0, describeFault.name);
  const rest = starts({ kind: "cron-dropped", job: "open", all: false });
  const [lost, ...others] = usual.filter((start) =>
    rest.every(({ at }) => at.getTime() !== start.at.getTime()),
  );
  assert.equal(others.length, 0);
  assert.ok(lost !== undefined && lost.at >= new Date(`${date}T11:30:00Z`), "the first one that matters");
  assert.equal(starts({ kind: "cron-double", job: "open", minutes: 5 }).length, count + 1);
  const late = starts({ kind: "cron-late", job: "open", minutes: 60, all: true });
  assert.deepEqual(
    late.map(({ at }) => at.getTime()),
    usual.map(({ at }) => at.getTime() + 3_600_000),
  );
  assert.deepEqual(starts({ kind: "cron-dropped", job: "close", all: true }), usual, "of other jobs, none");
});
