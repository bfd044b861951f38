import assert from "node:assert/strict";
import { test } from "node:test";
import { parseStackValues, type StackValues } from "../../stacks/config.ts";
import { UsageError } from "../run.ts";
import { type Agenda, type Asked, readAgenda } from "./agenda.ts";
import { openCalendar } from "./calendar.ts";
import { printAgenda } from "./print.ts";

const values = (schedule: object | undefined): StackValues =>
  parseStackValues({
    "trading:adminCidrs": '["203.0.113.0/24"]',
    "trading:archive": '{"endpoint":"https://s3.example","region":"fsn1","bucket":"archive"}',
    "trading:delivery": "direct",
    "trading:venues": '{"nearIntents":{"salt":"252812b3"}}',
    "trading:openHours": "10",
    ...(schedule === undefined ? {} : { "trading:schedule": JSON.stringify(schedule) }),
  });

const newYork = { open: "08:00" };
const prague = { open: "14:00", timeZone: "Europe/Prague" };

async function agenda(now: string, asked: Asked, schedule: object = newYork): Promise<[Agenda, string]> {
  const calendar = await openCalendar({
    values: values(schedule),
    environment: {},
    report: { note: (line) => assert.fail(line) },
  });
  const read = await readAgenda("prod", calendar, new Date(now), asked);
  return [read, printAgenda(read, asked)];
}

test("on a half day it is said when it ends and what goes on now", async () => {
  const [read, text] = await agenda("2025-11-28T19:00:00Z", { tradingDays: 2 });
  assert.deepEqual(
    [read.today.date, read.today.isTradingDay, read.today.phase],
    ["2025-11-28", true, "open"],
  );
  assert.equal(read.today.day?.closesAt.toISOString(), "2025-11-28T20:00:00.000Z");
  assert.equal(read.next.date, "2025-12-01");
  assert.deepEqual(
    read.days.map(({ date }) => date),
    ["2025-11-28", "2025-12-01"],
  );
  assert.match(
    text,
    /Today, Fri 2025-11-28: a trading day \(half day: the exchange closes at 13:00\), open now/,
  );
  assert.match(text, /Next: Mon 2025-12-01, begins in 2 d 17 h/);
  assert.match(text, /2025-11-28 20:00 +15:00 +sealed and removed/);
});

test("each phase of a day is named, also past midnight in New York", async () => {
  const phase = async (now: string) => (await agenda(now, { tradingDays: 1 }))[0].today;
  assert.deepEqual([(await phase("2025-10-14T11:29:59Z")).phase], ["closed"]);
  assert.deepEqual([(await phase("2025-10-14T11:30:00Z")).phase], ["opening"]);
  assert.deepEqual([(await phase("2025-10-14T12:00:00Z")).phase], ["open"]);
  assert.deepEqual([(await phase("2025-10-14T22:00:00Z")).phase], ["closing"]);
  assert.deepEqual([(await phase("2025-10-14T23:30:01Z")).phase], ["closed"]);
  const [late] = await agenda("2025-10-15T04:30:00Z", { tradingDays: 1 }, { open: "14:00" });
  assert.deepEqual([late.today.date, late.today.phase], ["2025-10-14", "closing"]);
});

test("weekends, holidays and full months say why they are no trading days", async () => {
  const why = async (date: string, schedule?: object) =>
    (await agenda("2025-10-14T12:00:00Z", { date }, schedule))[0].days[0]?.whyNot;
  assert.equal(await why("2025-10-18"), "weekend");
  assert.equal(await why("2025-11-27"), "no-session");
  assert.equal(await why("2025-10-31", { ...newYork, mostDaysPerMonth: 22 }), "month-is-full");
  assert.equal(await why("2025-11-28", { open: "15:00" }), "half-day-too-short");
  assert.equal(await why("2025-11-28"), null);
  const [, text] = await agenda("2025-10-14T12:00:00Z", { date: "2025-11-27" });
  assert.match(text, /Thu 2025-11-27: no trading day \(the exchange is closed\)$/);
});

test("a month shows its weekdays, and on which day which clocks have changed", async () => {
  const [read, text] = await agenda("2025-10-14T12:00:00Z", { month: "2025-03" }, prague);
  assert.equal(read.days.length, 21);
  assert.deepEqual(
    read.days
      .filter(({ clockChanges }) => clockChanges.length > 0)
      .map(({ date, clockChanges }) => [date, clockChanges]),
    [
      ["2025-03-10", [{ timeZone: "America/New_York", from: "-05:00", to: "-04:00" }]],
      ["2025-03-31", [{ timeZone: "Europe/Prague", from: "+01:00", to: "+02:00" }]],
    ],
  );
  assert.match(
    text,
    /Mon 2025-03-10 +13:00 +13:30 .* 14:00 to 00:00 +clocks changed: America\/New_York -05:00/,
  );
  // The change lies before the first day that is shown.
  const [first] = await agenda("2025-10-14T12:00:00Z", { date: "2025-03-10" });
  assert.equal(first.days[0]?.clockChanges.length, 1);
  const [years] = await agenda("2025-10-14T12:00:00Z", { month: "2020-01" });
  assert.equal(years.days[0]?.date, "2020-01-01");
});

test("a day that misses the bell, or part of the session, says so", async () => {
  const remark = async (date: string, schedule: object) =>
    (await agenda("2025-10-14T12:00:00Z", { date }, schedule))[1].split("\n")[4];
  const afternoon = { open: "15:00", timeZone: "Europe/Prague" };
  assert.equal(await remark("2025-03-03", afternoon), "Mon 2025-03-03: a trading day");
  // New York has summer time, Prague has not yet.
  assert.equal(
    await remark("2025-03-11", afternoon),
    "Tue 2025-03-11: a trading day (it opens 30 min after the bell)",
  );
  assert.match((await remark("2025-10-14", { open: "17:00" })) ?? "", /opens after the exchange has closed/);
  assert.match((await remark("2025-10-14", { open: "21:00" })) ?? "", /closes before the exchange opens/);
});

test("as many trading days as were asked for, with what lies between them", async () => {
  const [read] = await agenda("2025-11-25T12:00:00Z", { tradingDays: 3 });
  assert.deepEqual(
    read.days.map(({ date, isTradingDay }) => [date, isTradingDay]),
    [
      ["2025-11-25", true],
      ["2025-11-26", true],
      ["2025-11-27", false],
      ["2025-11-28", true],
    ],
  );
  const monthly = { ...newYork, mostDaysPerMonth: 1 };
  const [many] = await agenda("2025-11-25T12:00:00Z", { tradingDays: 3 }, monthly);
  assert.deepEqual(
    many.days.filter(({ isTradingDay }) => isTradingDay).map(({ date }) => date),
    ["2025-12-01", "2026-01-02", "2026-02-02"],
  );
  const [toTheEnd] = await agenda("2040-10-01T12:00:00Z", { tradingDays: 300 }, monthly);
  assert.equal(toTheEnd.days.at(-1)?.date, "2040-12-31");
});

test("a stack without hours, and an environment that is wrong, are refused", async () => {
  const open = (schedule: object | undefined, environment: Record<string, string>) =>
    openCalendar({ values: values(schedule), environment, report: { note: () => undefined } });
  await assert.rejects(open(undefined, {}), (error) => {
    assert.ok(error instanceof UsageError);
    assert.match(error.message, /no trading:schedule/);
    return true;
  });
  await assert.rejects(
    open(newYork, { APCA_API_KEY_ID: "key", APCA_API_BASE_URL: "ftp://there" }),
    (error) => {
      assert.ok(error instanceof UsageError);
      assert.match(error.message, /APCA_API_SECRET_KEY: is missing, but APCA_API_KEY_ID is set/);
      assert.match(error.message, /APCA_API_BASE_URL: found "ftp:\/\/there", expected a URL/);
      return true;
    },
  );
  const { source } = await open(newYork, { APCA_API_KEY_ID: "key", APCA_API_SECRET_KEY: "secret" });
  assert.equal(source.name, "Alpaca (https://paper-api.alpaca.markets)");
});
