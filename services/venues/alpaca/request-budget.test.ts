import assert from "node:assert/strict";
import { after, test } from "node:test";
import fc from "fast-check";
import { until } from "../../core/testing.ts";
import { RequestBudget, type RequestKind } from "./request-budget.ts";

const budgets: RequestBudget[] = [];
after(() => budgets.forEach((budget) => budget.close()));

function make(perMinute: number, windowMs?: number): RequestBudget {
  const budget = new RequestBudget({ perMinute, ...(windowMs === undefined ? {} : { windowMs }) });
  budgets.push(budget);
  return budget;
}

const soon = 5_000;
const inSeconds = (seconds: number) => String(Math.ceil(Date.now() / 1_000 + seconds));

test("no span of the window ever holds more than the limit, and everybody is served in the end", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 6 }),
      fc.array(fc.constantFrom<RequestKind>("order", "question"), { minLength: 1, maxLength: 14 }),
      async (limit, kinds) => {
        const windowMs = 40;
        const budget = make(limit, windowMs);
        const begun = performance.now();
        const times = await Promise.all(
          kinds.map(async (kind) => {
            assert.equal(await budget.take(kind, 60_000), true);
            budget.answered();
            return performance.now() - begun;
          }),
        );
        times.sort((a, b) => a - b);
        for (const [index, time] of times.entries()) {
          // Each is a window later than the one that is `limit` places before it; a slow machine only adds to that.
          const earliest = Math.floor(index / limit) * windowMs;
          assert.ok(time >= earliest, `request ${index + 1} after ${time} ms, expected ${earliest} or more`);
        }
      },
    ),
    { numRuns: 15 },
  );
});

test("who cannot be served in time is told at once; who waits is told at the end of his time", async () => {
  const budget = make(1);
  assert.equal(await budget.take("order", soon), true);
  const begun = performance.now();
  assert.equal(await budget.take("order", 50_000), false);
  assert.ok(performance.now() - begun < 5_000);
  const short = make(1, 100_000);
  short.answered({ status: 429, headers: { "retry-after": "1" } });
  const waiting = short.take("order", 1_200);
  // A further refusal makes it later than he can wait.
  short.answered({ status: 429, headers: { "retry-after": "60" } });
  assert.equal(await waiting, false);
});

test("orders go before questions, and questions are never starved", async () => {
  const budget = make(10, 1_000);
  for (let at = 0; at < 10; at += 1) await budget.take(at < 9 ? "order" : "question", soon);
  const served: RequestKind[] = [];
  const take = (kind: RequestKind) => budget.take(kind, soon).then(() => served.push(kind));
  const all = [take("question"), ...Array.from({ length: 12 }, () => take("order"))];
  await until("the first window's end", () => served.length >= 10);
  assert.deepEqual(served.slice(0, 9), Array<RequestKind>(9).fill("order"));
  assert.equal(served[9], "question", "a tenth is left to questions");
  await Promise.all(all);
});

test("what was not sent is not counted", async () => {
  const budget = make(2);
  for (let at = 0; at < 5; at += 1) {
    assert.equal(await budget.take("order", soon), true);
    budget.unused("order");
  }
});

test("the venue's headers count: fewer left than we thought, a lower limit, none left until the reset", async () => {
  const budget = make(100);
  await budget.take("question", soon);
  const headers = {
    "x-ratelimit-limit": "50",
    "x-ratelimit-remaining": "3",
    "x-ratelimit-reset": inSeconds(30),
  };
  budget.answered({ status: 200, headers });
  const granted: boolean[] = [];
  for (let at = 0; at < 5; at += 1) granted.push(await budget.take("order", 10_000));
  assert.deepEqual(granted, [true, true, true, false, false]);
});

test("answers that overtake each other do not bring requests back", async () => {
  const budget = make(100);
  const reset = inSeconds(30);
  const news = (remaining: string) => ({
    status: 200,
    headers: { "x-ratelimit-remaining": remaining, "x-ratelimit-reset": reset },
  });
  await budget.take("order", soon);
  await budget.take("order", soon);
  budget.answered(news("0"));
  budget.answered(news("1"));
  assert.equal(await budget.take("order", 10_000), false);
});

test("a refusal stops all, as long as the venue says, and never longer than the window", async () => {
  const budget = make(100, 200);
  await budget.take("order", soon);
  budget.answered({ status: 429, headers: { "x-ratelimit-reset": inSeconds(1e9) } });
  assert.equal(await budget.take("order", 100), false);
  assert.equal(await budget.take("question", soon), true);

  const other = make(100);
  await other.take("order", soon);
  other.answered({ status: 429, headers: { "retry-after": "no number" } });
  assert.equal(await other.take("order", 900), false, "a second, when it does not say");
});

test("close() refuses those who wait", async () => {
  const budget = make(1, 60_000);
  await budget.take("question", soon);
  const waiting = budget.take("question", 120_000);
  budget.close();
  assert.equal(await waiting, false);
});
