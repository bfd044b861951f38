import assert from "node:assert/strict";
import { test } from "node:test";
import { readVenueOptions } from "./options.ts";

test("the venues' options become their arguments, and what is not given is left to the venue", () => {
  const mistakes: string[] = [];
  const values = {
    seed: "7",
    faults: "server_error=0.1,no_news=1",
    "ask-faults": "timeout=.5",
    "late-ms": "10",
    "market-hours": "calendar",
    announce: "2025-01-09=closed, 2025-07-02=13:00",
    "partial-fills": true,
  };
  const faults = {
    seed: 7,
    rates: { server_error: 0.1, no_news: 1 },
    askRates: { timeout: 0.5 },
    lateMs: 10,
  };
  assert.deepEqual(readVenueOptions("alpaca", values, mistakes).alpaca, {
    seed: 7,
    faults,
    marketHours: "calendar",
    announcements: { "2025-01-09": "closed", "2025-07-02": "13:00" },
    partialFills: true,
  });
  assert.deepEqual(readVenueOptions("near", { "event-shape": "solver" }, mistakes).near, {
    faults: { seed: 1, rates: {} },
    eventShape: "solver",
  });
  assert.deepEqual(mistakes, []);
});

test("every mistake of the venues' options is named", () => {
  const mistakes: string[] = [];
  const values = {
    seed: "x",
    faults: "weather=0.1",
    "ask-faults": "timeout",
    "event-shape": "odd",
    "linger-ms": "-1",
    announce: "tomorrow=closed",
  };
  readVenueOptions("near", values, mistakes);
  const text = mistakes.join("\n");
  for (const part of [
    "--seed",
    "rates.weather",
    "--ask-faults",
    "--event-shape",
    "--linger-ms: only for alpaca",
    "--announce: found",
  ])
    assert.ok(text.includes(part), `${part} in ${text}`);
});
