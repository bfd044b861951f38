import assert from "node:assert/strict";
import { test } from "node:test";
import { Changes } from "./changes.ts";
import { SimulatedClock } from "./clock.ts";
import { durations, imagePullMs, imagePulls, latencyModel, megabytesOf } from "./durations.ts";
import { HetznerStartError } from "./index.ts";
import { startTestClient } from "./testing/client.ts";

test("the clock runs as fast as it is told, and can be moved ahead but not back", async () => {
  const clock = new SimulatedClock({ speed: 1_000, start: new Date(0) });
  const before = performance.now();
  const changes = new Changes(clock);
  assert.equal(await changes.pause(20_000), true);
  assert.ok(performance.now() - before < 5_000);
  assert.ok(clock.now() >= 20_000 - 1_000);
  clock.advance(3_600_000);
  assert.ok(clock.now() >= 3_619_000);
  assert.throws(() => clock.advance(-1), RangeError);
  assert.throws(() => new SimulatedClock({ speed: 0 }), RangeError);
  await assert.rejects(startTestClient({ speed: -1 }), HetznerStartError);
});

test("what is due when the clock is moved ahead happens then; what is longer than any timer too", async () => {
  const clock = new SimulatedClock();
  const changes = new Changes(clock);
  const year = 365 * 24 * 3_600_000;
  const pause = changes.pause(year);
  const deadline = changes.until(() => false, year);
  clock.advance(year);
  changes.notify();
  assert.deepEqual(await Promise.all([pause, deadline]), [true, false]);
  const endless = changes.until(() => false, Infinity);
  changes.end();
  assert.equal(await endless, false);
});

test("the model of the real cloud runs at any speed-up, and every stage takes what the model says", async () => {
  const speed = 2_000;
  const client = await startTestClient({ latency: "model", speed, requestsPerHour: 1_000_000 });
  try {
    const made = await client.expect(201, "POST", "/servers", {
      name: "s",
      server_type: "cpx32",
      image: "debian-12",
    });
    await client.wait(made.action, ...made.next_actions);
    const spans = client.hetzner.project.timeline().filter(({ subject }) => subject === "server/s");
    const lasted = (stage: string) => {
      const span = spans.find((one) => one.stage === stage);
      return Number(span?.ended) - Number(span?.began);
    };
    for (const stage of ["create_server", "start_server"] as const) {
      // A loaded machine may be late by real milliseconds, each of which is `speed` simulated ones.
      assert.ok(lasted(stage) >= durations[stage].model - 2 * speed, `${stage}: ${lasted(stage)} ms`);
    }
    assert.ok(client.hetzner.project.requests().length >= 2);
  } finally {
    await client.hetzner.close();
  }
});

test("images: by size and bandwidth, the model slower than the fast one", () => {
  assert.equal(imagePullMs([]), 0);
  const one = imagePullMs([420]);
  assert.ok(Math.abs(one - (420 * (20 + 1_000 / 60) + 1_500)) < 1e-6);
  assert.ok(Math.abs(imagePullMs([420, 420]) - 2 * one) < 1e-6);
  assert.ok(imagePullMs([420], imagePulls.fast) < 100);
  assert.equal(megabytesOf("quay.io/strimzi/kafka:1.2.0-kafka-4.3.1"), 420);
  assert.ok(
    latencyModel("model").duration("broker_ready", "") > latencyModel("fast").duration("broker_ready", ""),
  );
});
