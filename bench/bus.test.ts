import assert from "node:assert/strict";
import { test } from "node:test";
import { readConsumerPerformance, readProducerPerformance } from "./bus.ts";

test("the mean rate is read from ProducerPerformance's last line", () => {
  const printed = [
    "1048001 records sent, 209516.4 records/sec (59.94 MB/sec), 455.9 ms avg latency, 772.0 ms max latency.",
    "2000000 records sent, 244349.4 records/sec (69.91 MB/sec), 391.31 ms avg latency, 772.00 ms max latency, 380 ms 50th, 690 ms 95th, 750 ms 99th, 770 ms 99.9th.",
    "",
  ].join("\n");
  assert.equal(readProducerPerformance(printed), 244_349.4);
  assert.throws(() => readProducerPerformance("something else"), /printed no rate: something else/);
});

test("the rate without joining is read from ConsumerPerformance's columns", () => {
  const printed =
    "2026-11-21 07:12:09:001, 2026-11-21 07:12:11:001, 286.1, 143.0, 1000000, 500000.0, 300, 1700, 168.3, 588235.3\n";
  assert.equal(readConsumerPerformance(printed), 588_235.3);
  assert.throws(() => readConsumerPerformance("start.time, end.time"), /printed no rate/);
});
