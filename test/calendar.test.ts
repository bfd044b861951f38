/** The calendar against the lab's Alpaca: what the exchange decides at short notice reaches whoever opens and closes a stack. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { text } from "node:stream/consumers";
import { after, before, test } from "node:test";
import { exampleEntries } from "../components/testing/example-config.ts";
import { type LabAlpaca, startAlpaca } from "../lab/venues/alpaca/index.ts";
import type { Agenda } from "../ops/calendar/agenda.ts";
import { openCalendar } from "../ops/calendar/calendar.ts";
import { parseStackConfig } from "../stacks/config.ts";

const repository = path.join(import.meta.dirname, "..");
let alpaca: LabAlpaca;
before(async () => {
  alpaca = await startAlpaca({ market: "replay", announcements: { "2027-10-13": "closed" } });
});
after(() => alpaca.close());

/** The command as a process. */
async function calendar(args: readonly string[], environment: Record<string, string> = {}) {
  const { APCA_API_KEY_ID: _, APCA_API_SECRET_KEY: __, APCA_API_BASE_URL: ___, ...inherited } = process.env;
  const child = spawn(process.execPath, ["--import", "tsx", "ops/main.ts", "calendar", ...args], {
    cwd: repository,
    env: { ...inherited, ...environment },
    stdio: ["ignore", "pipe", "pipe"],
    timeout: 120_000,
  });
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr), once(child, "close")]);
  return { code: child.exitCode, stdout, stderr };
}

test("with the stack's own key, a closure at short notice is no trading day, and people are told", async () => {
  alpaca.announce("2027-10-14", "12:00");
  const config = parseStackConfig(
    exampleEntries({
      "trading:schedule": '{"open":"08:00"}',
      "trading:venues": JSON.stringify({
        alpaca: { restUrl: alpaca.rest },
        nearIntents: { salt: "252812b3" },
      }),
      "trading:alpacaKeyId": alpaca.keyId,
      "trading:alpacaSecretKey": alpaca.secret,
    }),
  );
  const notes: string[] = [];
  const opened = await openCalendar({
    values: config,
    environment: {},
    report: { note: (line) => notes.push(line) },
  });
  assert.equal(await opened.dayOf("2027-10-13"), undefined);
  assert.equal((await opened.dayOf("2027-10-14"))?.closesAt.toISOString(), "2027-10-14T18:00:00.000Z");
  assert.equal((await opened.nextDay(new Date("2027-10-12T20:00:00Z"))).date, "2027-10-14");
  assert.equal(notes.length, 2);
  assert.match(notes[0] ?? "", /^2027-10-13: Alpaca .* says no session/);
  assert.match(notes[1] ?? "", /^2027-10-14: Alpaca .* says 09:30 to 12:00/);
});

test("the command says for scripts and for people what Alpaca says, and where else it looked", async () => {
  const key = { APCA_API_KEY_ID: alpaca.keyId, APCA_API_BASE_URL: alpaca.rest };
  const [asked, refused, wrong] = await Promise.all([
    calendar(["--stack", "prod", "--date", "2027-10-13", "--json"], {
      ...key,
      APCA_API_SECRET_KEY: alpaca.secret,
    }),
    calendar(["--stack", "dev", "--month", "2027-11"], { ...key, APCA_API_SECRET_KEY: "stale" }),
    calendar(["--date", "2027-02-30"]),
  ]);
  assert.equal(asked.code, 0, asked.stderr);
  const agenda = JSON.parse(asked.stdout) as Agenda;
  assert.equal(agenda.source, `Alpaca (${alpaca.rest})`);
  assert.deepEqual([agenda.days[0]?.isTradingDay, agenda.days[0]?.whyNot], [false, "no-session"]);
  assert.match(agenda.differences[0] ?? "", /^2027-10-13: Alpaca/);
  assert.match(asked.stderr, /^2027-10-13: Alpaca/m);
  assert.match(String(agenda.next.beginsAt), /^\d{4}-.*Z$/);
  assert.ok(["closed", "opening", "open", "closing"].includes(agenda.today.phase));

  assert.equal(refused.code, 0, refused.stderr);
  assert.match(refused.stderr, /HTTP 401: the key is not accepted there; the stored rules/);
  assert.match(refused.stdout, /Calendar: the stored rules/);
  assert.match(refused.stdout, /Fri 2027-11-26 .* half day: the exchange closes at 13:00/);
  assert.match(refused.stdout, /Mon 2027-11-08 .* clocks changed: America\/New_York -04:00 to -05:00/);

  assert.equal(wrong.code, 2);
  assert.match(wrong.stderr, /Expected a date such as 2025-10-14/);
});
