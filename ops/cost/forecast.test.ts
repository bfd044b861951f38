import assert from "node:assert/strict";
import { test } from "node:test";
import { Decimal } from "decimal.js";
import { calendarMonth } from "./billing.ts";
import { costOf, forecastMonth, type PlannedDay, plannedDay } from "./forecast.ts";
import { compareWithSeed, seedSums } from "./seed-estimate.ts";
import type { ServerUse, UsualServers } from "./uses.ts";

const rate = (hourly: string, monthly: string) => ({
  hourly: new Decimal(hourly),
  monthly: new Decimal(monthly),
});
const ipv4 = rate("0.0008", "0.5");
const server = (name: string, serverType: string, price: ReturnType<typeof rate>) => ({
  name,
  serverType,
  location: "fsn1",
  rate: price,
  ipv4,
});
/** 0.2051 an hour, as `trading plan` has it. */
const usual: UsualServers = [
  ...["kafka-0", "kafka-1", "kafka-2"].map((name) => server(name, "cpx32", rate("0.0569", "35.49"))),
  server("k3s-control", "cpx22", rate("0.0312", "19.49")),
];
const month = calendarMonth("2026-11");

/** A day of two open hours from 14:00 UTC. */
const day = (date: string, close = "16:00"): PlannedDay =>
  plannedDay({
    date,
    beginsAt: new Date(`${date}T13:30:00Z`),
    closesAt: new Date(`${date}T${close}:00Z`),
  });

const uses = (date: string, from: string, to: string, isRunning: boolean): ServerUse[] =>
  usual.map((each) => ({
    ...each,
    cluster: `${date}/ClusterA`,
    from: new Date(`${date}T${from}:00Z`),
    to: new Date(`${date}T${to}:00Z`),
    isRunning,
    estimate: undefined,
  }));

test("bringing up and removing begin another hour", () => {
  assert.equal(day("2026-11-20").hours, 3);
});

test("what was used, the rest of the day that goes on, and the days that are left", () => {
  const days = [day("2026-11-19"), day("2026-11-20"), day("2026-11-23"), day("2026-11-24")];
  const past = uses("2026-11-19", "13:32", "16:10", false);
  const running = uses("2026-11-20", "13:32", "14:10", true);
  const now = new Date("2026-11-20T14:10:00Z");
  const { total, remaining, remainingDays } = forecastMonth({
    month,
    uses: [...past, ...running],
    days,
    usual,
    now,
  });
  assert.equal(costOf([...past, ...running], month).toFixed(), "0.8204", "three hours and one");
  assert.equal(remaining.toFixed(), "1.6408", "two more today, three on each of two days");
  assert.equal(total.toFixed(), "2.4612");
  assert.equal(remainingDays, 3);
});

test("a day whose cluster is gone already brings nothing more, one that nobody opened yet all of it", () => {
  const days = [day("2026-11-20")];
  const now = new Date("2026-11-20T14:40:00Z");
  const gone = uses("2026-11-20", "13:32", "14:30", false);
  assert.equal(forecastMonth({ month, uses: gone, days, usual, now }).remaining.toFixed(), "0");
  const late = forecastMonth({ month, uses: [], days, usual, now });
  assert.equal(late.total.toFixed(), "0.4102", "from now on: two started hours");
});

test("the steps from the seed's figure add up to the forecast and the storage exactly", () => {
  const days = Array.from({ length: 20 }, (_, index) =>
    day(`2026-11-${String(index + 1).padStart(2, "0")}`, index === 3 ? "15:00" : "16:00"),
  );
  const forecast = new Decimal("12.3456789");
  const stack = { usual, usualHours: 3, days, forecast };
  const comparison = compareWithSeed([
    { ...stack, stack: "dev" },
    { ...stack, stack: "prod", usualHours: 11 },
  ]);
  assert.ok(comparison);
  assert.equal(comparison.from.toFixed(), "23.89");
  assert.equal(comparison.to.toFixed(), forecast.times(2).plus("6.49").toFixed());
  const [sums, types] = comparison.steps;
  assert.equal(sums?.amount.toFixed(), "-0.12163", "57.17 x 30.1 % + 57.17 x 6 % + 3 + 0.13 - 23.89");
  // (3 x 35.49 + 19.49 - 57.17) x (30.1 % + 6 %)
  assert.equal(types?.amount.toFixed(), "24.83319");

  const one = compareWithSeed([{ ...stack, stack: "dev" }]);
  assert.equal(one?.from.toFixed(), "3.43");
  assert.equal(one?.to.toFixed(), "12.3456789", "its servers alone");
});

test("without a price nothing is compared", () => {
  const [first, ...others] = usual;
  assert.ok(first);
  const unpriced = [{ ...first, rate: undefined }, ...others];
  const stack = { stack: "dev", usual: unpriced, usualHours: 3, days: [], forecast: new Decimal(1) } as const;
  assert.equal(compareWithSeed([stack]), undefined);
});

test("what does not add up in the seed", () => {
  const [lines, development, parts] = seedSums();
  assert.match(lines ?? "", /19\.20 \+ 4\.56 \+ 3\.00 \+ 0\.13, add up to 26\.89, not to 23\.89/);
  assert.match(development ?? "", /3\.43 \+ 1\.00 = 4\.43 and 0\.13 of DNS.*23\.76, and DNS a second time/);
  assert.match(parts ?? "", /are 23\.76\./);
});
