/** The schedules' times against every trading day of a year, with both changes of the clocks, holidays and half days. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { plusDays } from "../../ops/calendar/zoned-time.ts";
import { type Schedule, type TradingDay, tradingDayOf } from "../../ops/calendar/trading-day.ts";
import { readStack } from "../../ops/hetzner/settings.ts";
import { sessionOf } from "../../services/core/exchange-calendar.ts";
import { firings } from "./cron.ts";
import { readWorkflow } from "./workflow.ts";

const minuteMs = 60_000;
/** Both changes of the clocks, half days in summer and in winter time. */
const year = 2027;
/** What the workflows say to the commands: a run that comes earlier ends with a word. */
const mostWait = { open: mostWaitOf("trading-day-open"), close: mostWaitOf("trading-day-close") };

function mostWaitOf(workflow: string): number {
  const said = [...readWorkflow("github", workflow).text.matchAll(/--most-wait (\d+)/g)];
  assert.equal(said.length, 1, workflow);
  return Number(said[0]?.[1]);
}

function tradingDays(stack: string): TradingDay[] {
  const { schedule, openHours } = readStack(stack);
  assert.ok(schedule, `${stack} has no trading:schedule`);
  const whole: Schedule = { ...schedule, openHours };
  const days: TradingDay[] = [];
  for (let date = `${year}-01-01`; date <= `${year}-12-31`; date = plusDays(date, 1)) {
    const day = tradingDayOf(date, whole, sessionOf);
    if (day !== undefined) days.push(day);
  }
  assert.ok(days.length > 245, `${stack}: ${days.length} trading days`);
  return days;
}

/** The lines of a workflow's schedule. */
function cronsOf(workflow: string): string[] {
  return (readWorkflow("github", workflow).on.schedule ?? []).map(({ cron }) => cron);
}

/** Minutes from a moment (negative: before it) at which a schedule fires, from a day before to a day after. */
function minutesFrom(crons: readonly string[], moment: Date): number[] {
  const date = moment.toISOString().slice(0, 10);
  return [-1, 0, 1]
    .flatMap((days) => crons.flatMap((cron) => firings(cron, plusDays(date, days))))
    .map((fired) => (fired.getTime() - moment.getTime()) / minuteMs)
    .sort((one, other) => one - other);
}

const opening = cronsOf("trading-day-open");
const closing = cronsOf("trading-day-close");
const guarding = cronsOf("guard");

const within = (minutes: readonly number[], from: number, to: number): number[] =>
  minutes.filter((minute) => minute >= from && minute <= to);

for (const stack of ["dev", "prod"]) {
  const days = tradingDays(stack);

  test(`${stack} opens: one run comes an hour early and waits, and two others come before it has to begin`, () => {
    for (const { date, beginsAt, opensAt } of days) {
      const runs = minutesFrom(opening, beginsAt);
      assert.ok(within(runs, -mostWait.open, -45).length > 0, `${date}: none early: ${runs.join(" ")}`);
      assert.ok(within(runs, -mostWait.open, 0).length >= 3, `${date}: a dropped one has no net`);
      const lead = (opensAt.getTime() - beginsAt.getTime()) / minuteMs;
      assert.ok(within(runs, 1, lead).length > 0, `${date}: none while it should come up`);
    }
  });

  test(`${stack} closes: two runs come before its end and wait, and two others before its deadline`, () => {
    for (const { date, closesAt, deadline } of days) {
      const runs = minutesFrom(closing, closesAt);
      assert.ok(within(runs, -mostWait.close, -40).length > 0, `${date}: none early: ${runs.join(" ")}`);
      assert.ok(within(runs, -mostWait.close, 0).length >= 2, `${date}: a dropped one has no net before`);
      const left = (deadline.getTime() - closesAt.getTime()) / minuteMs;
      assert.ok(within(runs, 1, left).length >= 2, `${date}: and none after`);
    }
  });

  test(`${stack} is guarded: after its opening, and within three hours after its deadline`, () => {
    for (const { date, opensAt, deadline } of days) {
      assert.ok(within(minutesFrom(guarding, opensAt), 1, 60).length > 0, `${date}: not after opening`);
      const late = within(minutesFrom(guarding, deadline), 1, 180);
      assert.ok(late.length > 0, `${date}: not after ${deadline.toISOString()}`);
    }
  });
}

test("the guard looks on every day of the week, and none of its times is one of the other two", () => {
  for (let days = 0; days < 7; days++) {
    const date = plusDays("2027-03-07", days);
    const guarded = guarding.flatMap((cron) => firings(cron, date));
    assert.ok(guarded.length > 0, date);
    const busy = [...opening, ...closing]
      .flatMap((cron) => firings(cron, date))
      .map((fired) => fired.getTime());
    assert.ok(
      guarded.every((fired) => !busy.includes(fired.getTime())),
      date,
    );
  }
});

test("no time is on the hour, when GitHub drops and delays the most", () => {
  for (const cron of [...opening, ...closing, ...guarding])
    assert.ok(
      firings(cron, "2027-03-03").every((fired) => ![0, 30].includes(fired.getUTCMinutes())),
      cron,
    );
});

test("cron lines are read as forges read them", () => {
  const at = (cron: string, date: string): string[] =>
    firings(cron, date).map((fired) => fired.toISOString().slice(11, 16));
  assert.deepEqual(at("7,37 10-11 * * 1-5", "2026-11-20"), ["10:07", "10:37", "11:07", "11:37"]);
  assert.deepEqual(at("7,37 10-11 * * 1-5", "2026-11-21"), [], "a Saturday");
  assert.deepEqual(at("*/30 4 * * *", "2026-11-21"), ["04:00", "04:30"]);
  assert.throws(() => firings("7 24 * * *", "2026-11-20"), /"24" is not within 0-23/);
  assert.throws(() => firings("7 10 * *", "2026-11-20"), /five fields/);
});
