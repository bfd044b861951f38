import assert from "node:assert/strict";
import { test } from "node:test";
import type { Finding } from "./findings.ts";
import { forgetOthers, isDue, type Memory, remember } from "./memory.ts";

const finding: Finding = { kind: "unsealed", key: "unsealed:x", cluster: "x", text: "", pricePerHour: null };
const start = Date.parse("2026-11-20T18:00:00Z");

/** When (in minutes) people are told by a guard that runs each quarter of an hour, some minutes late. */
function toldAt(found: Finding, hours: number): number[] {
  let memory: Memory = {};
  const told: number[] = [];
  for (let minute = 0; minute < hours * 60; minute += 15) {
    const now = new Date(start + (minute + [0, 4, 1, 3][(minute / 15) % 4]!) * 60_000);
    if (!isDue(found, memory, now)) continue;
    memory = remember(memory, found, now);
    told.push(minute);
  }
  return told;
}

test("at once, then each hour, from the seventh time on each six hours", () => {
  assert.deepEqual(toldAt(finding, 19), [0, 60, 120, 180, 240, 300, 660, 1_020]);
});

test("what nobody can do anything about any more is told once", () => {
  assert.deepEqual(toldAt({ ...finding, isPast: true }, 48), [0]);
});

test("since when it is so stays; what is over and comes again is news", () => {
  const first = new Date(start);
  const memory = remember(remember({}, finding, first), finding, new Date(start + 3_600_000));
  assert.deepEqual(memory["unsealed:x"], {
    since: "2026-11-20T18:00:00.000Z",
    lastAt: "2026-11-20T19:00:00.000Z",
    times: 2,
  });
  assert.equal(isDue(finding, memory, new Date(start + 3_660_000)), false);
  const after = forgetOthers(memory, []);
  assert.equal(isDue(finding, after, new Date(start + 3_660_000)), true);
  assert.deepEqual(forgetOthers(memory, [finding]), memory);
});
