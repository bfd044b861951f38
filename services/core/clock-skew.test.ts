import assert from "node:assert/strict";
import { test } from "node:test";
import { certainSkewMs, measureSkewMs } from "./clock-skew.ts";

const second = 1_000;

test("only what goes beyond the question's way and the server's whole seconds is certain", () => {
  const at = (askedAt: number, answeredAt: number) =>
    certainSkewMs({ theirs: 100_000, askedAt, answeredAt }, second);
  assert.equal(at(100_000, 100_050), 0);
  assert.equal(at(100_999, 101_500), 0, "their second was not over");
  assert.equal(at(99_000, 100_000), 0, "the answer may have been made at its end");
  assert.equal(at(101_500, 101_510), 500, "ours is ahead");
  assert.equal(at(98_000, 98_200), -1_800, "ours is behind");
});

test("looks spread over a second find nearly all of it", async () => {
  const skew = await measureSkewMs(async () => {
    const now = Date.now();
    return { theirs: Math.floor((now - 5_000) / second) * second, askedAt: now, answeredAt: now };
  }, new AbortController().signal);
  assert.ok(skew > 4_600 && skew <= 5_000, String(skew));
});

test("a clock that does not tell, and the signal, end the measuring", async () => {
  const none = new AbortController();
  await assert.rejects(
    measureSkewMs(() => Promise.reject(new Error("no answer")), none.signal),
    /no answer/,
  );
  none.abort(new Error("stopped"));
  const same = async () => ({ theirs: 0, askedAt: 0, answeredAt: 0 });
  await assert.rejects(measureSkewMs(same, none.signal));
});
