import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { renderReport, ticks } from "./report.ts";
import { emptySummary } from "./summary.ts";

test("ticks start at zero, ascend, stay within the maximum and are few", () => {
  fc.assert(
    fc.property(fc.double({ min: 0.001, max: 1e9, noNaN: true }), (maximum) => {
      const all = ticks(maximum);
      assert.equal(all[0], 0);
      assert.ok(all.length <= 11 && all.length >= 2);
      assert.ok((all.at(-1) ?? Infinity) <= maximum * 1.000001);
      assert.deepEqual(
        [...all].sort((a, b) => a - b),
        all,
      );
    }),
  );
});

test("the page names broken promises, escapes what it prints and plots every operation", () => {
  const page = renderReport({
    summary: {
      ...emptySummary("dev", "lab"),
      venues: { alpaca: { commands: 4, results: { FILLED: 3, DENIED: 1 }, latency_ms: { p50: 2, p99: 50 } } },
      trading_ready_seconds: 12.34,
    },
    promises: [{ promise: "nothing bills", held: false, detail: "<server> left" }],
    timeline: [
      { name: "dev-kafka-0", operation: "create", from: 1, to: 3 },
      { name: "dev-kafka-1", operation: "delete", from: 9, to: 10 },
    ],
    latencies: [1, 2, 2, 50],
    ingestedAt: [1_000, 1_500, 3_000],
  });
  assert.match(page, /BROKEN: nothing bills \(&#60;server&#62; left\)/);
  assert.match(page, /alpaca: 4 commands, 3 FILLED, 1 DENIED, p50 2 ms, p99 50 ms/);
  assert.match(page, /12\.3 s after the begin of up/);
  assert.doesNotMatch(page, /<server>/);
  assert.match(page, /dev-kafka-0.*2\.00 s/s);
  assert.doesNotMatch(page, /NaN|undefined|Infinity/);
});

test("a day without events still has a report", () => {
  const page = renderReport({
    summary: emptySummary("prod", "lab"),
    promises: [],
    timeline: [],
    latencies: [],
    ingestedAt: [],
  });
  assert.doesNotMatch(page, /NaN|undefined|Infinity/);
});
