import assert from "node:assert/strict";
import { test } from "node:test";
import type { TradingDay } from "../../ops/calendar/trading-day.ts";
import type { BillItem } from "../hetzner/index.ts";
import { costOfDay, type IdealPrice } from "./cost.ts";
import type { DayFault } from "./faults.ts";

const at = (time: string): Date => new Date(`2026-10-19T${time}Z`);
const day: TradingDay = {
  date: "2026-10-19",
  bell: at("13:30"),
  bellClose: at("20:00"),
  closesEarly: false,
  beginsAt: at("12:30"),
  opensAt: at("13:00"),
  closesAt: at("15:00"),
  deadline: at("16:30"),
};
const price: IdealPrice = {
  total: 0.02 + 0.001,
  each: new Map([
    ["server dev-kafka-0", 0.02],
    ["address", 0.001],
  ]),
};
let lastId = 0;
const item = (
  from: string,
  to: string | null,
  other: Partial<Pick<BillItem, "kind" | "name" | "pricePerHour">> = {},
): BillItem => ({
  kind: "server",
  id: ++lastId,
  name: "dev-kafka-0",
  labels: {},
  pricePerHour: 0.02,
  monthlyCap: 10,
  cost: 0,
  created: at(from),
  ended: to === null ? null : at(to),
  ...other,
});
const address = (from: string, to: string): BillItem =>
  item(from, to, { kind: "primary_ip", name: "primary_ip-7", pricePerHour: 0.001 });
const cost = (items: BillItem[], faults: DayFault[] = []) =>
  costOfDay(day.date, day, items, faults, price, at("23:00"));
const rounded = (euro: number): number => Math.round(euro * 1e6) / 1e6;

test("a day as planned costs its started hours and nothing more; a late one costs less", () => {
  const planned = cost([item("12:30:05", "15:03"), address("12:30:05", "15:03")]);
  assert.equal(rounded(planned.euro), 0.063);
  assert.equal(rounded(planned.ideal), 0.063);
  assert.deepEqual(planned.extras, []);
  assert.deepEqual(cost([item("14:10", "15:03"), address("14:10", "15:03")]).extras, []);
  assert.deepEqual(cost([]).extras, []);
});

test("each started hour beyond the end has the fault that can cause it, or none", () => {
  const items = [item("12:30:05", "17:00"), address("12:30:05", "17:00")];
  const dropped: DayFault = { kind: "cron-dropped", job: "close", all: true };
  const [extra, ...others] = cost(items, [dropped, { kind: "webhook-down" }]).extras;
  assert.deepEqual(others, []);
  assert.deepEqual(
    [extra?.category, extra?.hours, rounded(extra?.euro ?? 0), extra?.because],
    ["overtime", 4, 0.042, ["cron-dropped close, every start"]],
  );
  assert.deepEqual(cost(items, [{ kind: "webhook-down" }]).extras[0]?.because, []);
});

test("a dearer server and one that is made again are told apart", () => {
  const dearer = cost(
    [item("12:30:05", "15:03", { pricePerHour: 0.03 })],
    [{ kind: "stock-out", when: "listed" }],
  );
  assert.deepEqual(
    dearer.extras.map(({ category, euro, because }) => [category, rounded(euro), because]),
    [["dearer", 0.03, ["stock-out listed"]]],
  );
  const again = cost(
    [item("12:30:05", "12:40"), item("12:41", "15:03")],
    [{ kind: "runner-killed", job: "open", nth: 9 }],
  );
  assert.deepEqual(
    again.extras.map(({ category, euro, because }) => [category, rounded(euro), because]),
    [["made-again", 0.02, ["runner-killed open at request 9"]]],
  );
});

test("what bills on a day without trading, or is still there, is too much", () => {
  const { ideal, extras } = costOfDay("2026-10-18", undefined, [item("12:30", null)], [], price, at("23:00"));
  assert.equal(ideal, 0);
  assert.deepEqual(
    extras.map(({ category, hours, because }) => [category, hours, because]),
    [["overtime", 11, []]],
  );
});
