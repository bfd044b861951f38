import assert from "node:assert/strict";
import { test } from "node:test";
import { usageOf } from "./process-usage.ts";

test("this process uses about what Node itself says", () => {
  const { cpuSeconds, rssMiB } = usageOf(process.pid);
  const { user, system } = process.cpuUsage();
  assert.ok(Math.abs(cpuSeconds - (user + system) / 1e6) < 0.5, `${cpuSeconds} s`);
  const ratio = rssMiB / (process.memoryUsage.rss() / 2 ** 20);
  assert.ok(ratio > 0.8 && ratio < 1.25, `${rssMiB} MiB`);
});

test("a process that is gone is an error", () => {
  assert.throws(() => usageOf(2 ** 30), /ENOENT/);
});
