import assert from "node:assert/strict";
import { test } from "node:test";
import { AlpacaCalendarError } from "./alpaca-calendar.ts";
import { KnownSessions } from "./known-sessions.ts";
import type { SessionSource, SessionTimes } from "./session-source.ts";
import { storedRules, storedSession } from "./stored-rules.ts";

/** A venue whose calendar is the stored rules' but for what is given; `asked` are the spans it was asked for. */
function venue(changes: Record<string, SessionTimes | undefined>, until = "9999-12-31") {
  const asked: string[] = [];
  const source: SessionSource = {
    name: "Alpaca (there)",
    sessions: async (first, last) => {
      asked.push(`${first} ${last}`);
      const sessions = new Map(await storedRules.sessions(first, last));
      for (const [date, session] of Object.entries(changes)) {
        if (session === undefined) sessions.delete(date);
        else if (first <= date && date <= last) sessions.set(date, session);
      }
      return new Map([...sessions].filter(([date]) => date <= until).sort());
    },
  };
  return { source, asked };
}

function known(source: SessionSource | undefined) {
  const notes: string[] = [];
  return { sessions: new KnownSessions(source, (line) => notes.push(line)), notes };
}

test("without a key for the venue, the stored rules hold and nothing is said", async () => {
  const { sessions, notes } = known(undefined);
  const found = await sessions.sessions("2025-11-24", "2025-11-30");
  assert.deepEqual([...found.keys()], ["2025-11-24", "2025-11-25", "2025-11-26", "2025-11-28"]);
  assert.deepEqual(found.get("2025-11-28"), storedSession("2025-11-28"));
  assert.match(sessions.name, /stored rules/);
  assert.deepEqual([notes, sessions.differences], [[], []]);
});

test("the venue is believed, and told once each is where the rules say something else", async () => {
  const half = { ...(storedSession("2025-10-14") as SessionTimes), closesEarly: true };
  half.close = new Date("2025-10-14T17:00:00Z");
  const { source, asked } = venue({
    "2025-10-09": undefined,
    "2025-10-14": half,
    "2025-10-18": {
      open: new Date("2025-10-18T13:30:00Z"),
      close: new Date("2025-10-18T20:00:00Z"),
      closesEarly: false,
    },
  });
  const { sessions, notes } = known(source);
  const [found] = await Promise.all([
    sessions.sessions("2025-10-08", "2025-10-18"),
    sessions.sessions("2025-10-01", "2025-10-31"),
  ]);
  assert.equal(found.get("2025-10-09"), undefined);
  assert.deepEqual(found.get("2025-10-14"), half);
  assert.ok(found.has("2025-10-18"));
  assert.equal(sessions.name, "Alpaca (there)");
  await sessions.sessions("2025-10-01", "2025-11-30");
  assert.deepEqual(asked, ["2025-10-01 2025-10-31", "2025-11-01 2025-11-30"]);
  assert.deepEqual(notes, sessions.differences);
  assert.equal(notes.length, 3);
  assert.match(
    notes[0] ?? "",
    /^2025-10-09: Alpaca \(there\) says no session, .* say 09:30 to 16:00 in New York/,
  );
  assert.match(notes[1] ?? "", /^2025-10-14: .* says 09:30 to 13:00 in New York, .* say 09:30 to 16:00/);
  assert.match(notes[2] ?? "", /^2025-10-18: .* says 09:30 to 16:00 in New York, .* say no session/);
});

test("a venue that cannot be asked is asked once, and people are told that the rules are used", async () => {
  let asked = 0;
  const { sessions, notes } = known({
    name: "Alpaca (there)",
    sessions: async () => {
      asked += 1;
      throw new AlpacaCalendarError("https://there", "no answer in time");
    },
  });
  assert.ok((await sessions.sessions("2025-10-14", "2025-10-14")).has("2025-10-14"));
  assert.ok((await sessions.sessions("2025-12-01", "2025-12-01")).has("2025-12-01"));
  assert.equal(asked, 1);
  assert.equal(notes.length, 1);
  assert.match(notes[0] ?? "", /https:\/\/there\/v2\/calendar: no answer in time; the stored rules/);
  assert.match(sessions.name, /^the stored rules/);
});

test("behind the end of the venue's calendar the rules are used, not an exchange that is closed for ever", async () => {
  const { source } = venue({}, "2029-12-31");
  const { sessions, notes } = known(source);
  const found = await sessions.sessions("2029-12-27", "2030-01-04");
  assert.deepEqual(
    [...found.keys()],
    ["2029-12-27", "2029-12-28", "2029-12-31", "2030-01-02", "2030-01-03", "2030-01-04"],
  );
  assert.deepEqual(notes, ["Alpaca (there) knows no session in 2030-01: the stored rules are used."]);
});

test("what is no failure of the venue is not hidden", async () => {
  const interrupted = known({
    name: "Alpaca",
    sessions: async () => {
      throw new Error("interrupted");
    },
  });
  await assert.rejects(interrupted.sessions.sessions("2025-10-14", "2025-10-14"), /interrupted/);
  await assert.rejects(known(undefined).sessions.sessions("2041-01-01", "2041-01-02"), /2020 to 2040/);
});
