import assert from "node:assert/strict";
import { test } from "node:test";
import type { Finding } from "./judge.ts";
import { heatMap, monthTable, shadeOf, terminalPicture } from "./picture.ts";
import { storyOf, yearReport } from "./report.ts";
import type { DayRecord } from "./span.ts";
import { causesOf, lastLine } from "./totals.ts";

function record(date: string, other: Partial<DayRecord> = {}): DayRecord {
  const at = (time: string): Date => new Date(`${date}T${time}Z`);
  return {
    date,
    stack: "dev",
    tradingDay: {
      date,
      bell: at("13:30"),
      bellClose: at("20:00"),
      closesEarly: false,
      beginsAt: at("12:30"),
      opensAt: at("13:00"),
      closesAt: at("15:00"),
      deadline: at("16:30"),
    },
    faults: [],
    verdict: { opened: true, gone: true, told: [] },
    jobs: [],
    notices: [],
    cost: { date, euro: 0.5, ideal: 0.5, extras: [] },
    findings: [],
    ...other,
  };
}

const leaked: Finding = { kind: "leaked", date: "2026-11-02", stack: "dev", what: "server <x> bills" };
const days: DayRecord[] = [
  record("2026-10-30"),
  record("2026-10-31", {
    tradingDay: null,
    verdict: null,
    cost: { date: "", euro: 0, ideal: 0, extras: [] },
  }),
  record("2026-11-02", {
    faults: ["cron-dropped close, every start", "webhook-down"],
    cost: {
      date: "2026-11-02",
      euro: 0.6,
      ideal: 0.5,
      extras: [{ category: "overtime", euro: 0.1, hours: 4, because: ["cron-dropped close, every start"] }],
    },
    findings: [leaked],
  }),
  record("2026-11-03", {
    faults: ["s3-down at open for 200 min"],
    verdict: { opened: false, gone: true, told: ["webhook: failed"] },
  }),
  record("2026-11-04", { faults: ["webhook-down"] }),
];

test("the last line is ok without findings, and names their kinds with them", () => {
  assert.equal(
    lastLine(days, []),
    "year: ok days=4 opened=3 unsealed_removed=0 leaked=0 cost_over_ideal=5.0%",
  );
  const others: Finding[] = [
    leaked,
    { ...leaked, kind: "unexplained-cost" },
    { ...leaked, kind: "unsealed-removed" },
  ];
  assert.equal(
    lastLine(days, others),
    "year: failed days=4 opened=3 unsealed_removed=1 leaked=1 cost_over_ideal=5.0% unexplained_cost=1",
  );
});

test("a day is shown by the worst that can be said of it", () => {
  assert.deepEqual(days.map(shadeOf), ["fine", "none", "broken", "told", "faults"]);
  const [october, november] = terminalPicture(days);
  assert.equal(october, `2026-10  ${" ".repeat(29)}█·`);
  assert.equal(november?.trimEnd(), "2026-11   !o▓");
  const svg = heatMap(days, ({ date }) => date);
  const squares = [...svg.matchAll(/x="(\d+)" y="(\d+)"[^>]*class="(\w+)"><title>(\S+)<\/title>/g)];
  assert.deepEqual(
    squares.map(([, , , shade, date]) => `${date} ${shade}`),
    days.map((day) => `${day.date} ${shadeOf(day)}`),
  );
  const [friday, saturday, monday] = squares.map(([, x, y]) => ({ x: Number(x), y: Number(y) }));
  assert.ok(friday?.x === saturday?.x && (friday?.y ?? 0) < (saturday?.y ?? 0), "a row a weekday");
  assert.ok((monday?.x ?? 0) > (friday?.x ?? 0) && (monday?.y ?? 0) < (friday?.y ?? 0), "a column a week");
});

test("table, causes and page say what it cost and why, as text", () => {
  assert.match(monthTable(days), /2026-11 +3 +2 +1 +4 +1\.60 +1\.50 +0\.10 +1\n/);
  assert.deepEqual(causesOf(days), [{ cause: "overtime: cron-dropped", days: 1, hours: 4, euro: 0.1 }]);
  assert.match(
    storyOf(days[2] ?? record("")),
    /above: 0\.1000 EUR, 4 started hours overtime, because of cron-dropped/,
  );
  const options = {
    seed: 1,
    days: 5,
    from: "2026-10-30",
    stacks: ["dev" as const],
    density: "usual" as const,
    lanes: 1,
    mutation: undefined,
    json: false,
  };
  const page = yearReport({ options, days, findings: [leaked], lastLine: "year: failed" });
  assert.match(page, /<b>leaked<\/b> dev 2026-11-02: server &#60;x&#62; bills/);
  assert.doesNotMatch(page, /<script|https?:/);
});
