import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { test } from "node:test";
import { until } from "../core/testing.ts";
import "./request-queue.ts";

interface Queue {
  throttleCheckTimeoutId: NodeJS.Timeout | null;
  push(request: object): void;
  fulfillRequest(response: object): void;
  maybeThrottle(ms: number): void;
  destroy(): void;
}
const RequestQueue = createRequire(import.meta.url)("kafkajs/src/network/requestQueue") as new (
  options: object,
) => Queue;

function make() {
  const sent: number[] = [];
  const queue = new RequestQueue({
    maxInFlightRequests: 1,
    requestTimeout: 10_000,
    enforceRequestTimeout: false,
    clientId: "test",
    broker: "broker",
    logger: { debug: () => undefined, warn: () => undefined },
  });
  const push = (correlationId: number) =>
    queue.push({
      entry: { correlationId, resolve: () => undefined, reject: () => undefined },
      expectResponse: true,
      sendRequest: () => sent.push(correlationId),
    });
  return { queue, sent, push };
}

test("an idle connection sets no timer", () => {
  const { queue, sent, push } = make();
  push(1);
  queue.fulfillRequest({ correlationId: 1, payload: Buffer.alloc(0), size: 0 });
  assert.deepEqual(sent, [1]);
  assert.equal(queue.throttleCheckTimeoutId, null);
});

test("requests wait for the one in flight, and for the end of throttling", async () => {
  const { queue, sent, push } = make();
  push(1);
  push(2);
  assert.deepEqual(sent, [1]);
  queue.fulfillRequest({ correlationId: 1, payload: Buffer.alloc(0), size: 0 });
  assert.deepEqual(sent, [1, 2]);
  queue.fulfillRequest({ correlationId: 2, payload: Buffer.alloc(0), size: 0 });

  queue.maybeThrottle(50);
  const begun = Date.now();
  push(3);
  assert.deepEqual(sent, [1, 2]);
  await until("the throttled request", () => sent.length === 3);
  assert.ok(Date.now() - begun >= 45);
  queue.destroy();
});
