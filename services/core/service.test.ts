import assert from "node:assert/strict";
import { test } from "node:test";
import { pino } from "pino";
import { ConfigError, text } from "./config.ts";
import { startService, type ServiceContext } from "./service.ts";

const environment = {
  SERVICE_NAME: "test",
  HTTP_PORT: "0",
  STACK: "dev",
  CLUSTER_ID: "abc",
  BUSINESS_DATE: "2025-10-14",
  KAFKA_BROKERS: "localhost:1",
};
const logger = pino({ level: "silent" });

async function get(port: number, path: string): Promise<{ status: number; body: string }> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`);
  return { status: response.status, body: await response.text() };
}

test("health, readiness and metrics answer; a stop runs the steps backwards", async () => {
  const steps: string[] = [];
  const service = await startService(
    {
      variables: {},
      start: async (context) => {
        context.onStop("first", () => void steps.push("first"));
        context.onStop("failing", () => {
          throw new Error("this step fails");
        });
        context.onStop("last", () => void steps.push("last"));
      },
    },
    { environment, logger },
  );
  assert.equal((await get(service.port, "/healthz")).status, 200);
  assert.equal((await get(service.port, "/readyz")).status, 200);
  assert.equal((await get(service.port, "/else")).status, 404);
  service.context.metrics.eventsIn.inc({ source: "feed" }, 3);
  const { body } = await get(service.port, "/metrics");
  assert.match(body, /trading_events_in_total{source="feed",service="test"} 3/);
  service.context.health.watch("stuck loop", -1);
  const unhealthy = await get(service.port, "/healthz");
  assert.equal(unhealthy.status, 503);
  assert.match(unhealthy.body, /stuck loop/);
  await service.stop();
  assert.deepEqual(steps, ["last", "first"]);
  assert.equal(await service.stopped, undefined);
  assert.ok(service.context.signal.aborted);
  await assert.rejects(get(service.port, "/healthz"));
});

test("a fatal error stops the service and is its end's reason", async () => {
  const service = await startService(
    { variables: {}, start: () => Promise.resolve() },
    { environment, logger },
  );
  const reason = new Error("no more");
  service.context.fatal(reason);
  service.context.fatal(new Error("only the first counts"));
  assert.equal(await service.stopped, reason);
});

test("a start that fails stops what had started and tells why", async () => {
  let stopped = false;
  const start = async (context: ServiceContext): Promise<void> => {
    context.onStop("connection", () => {
      stopped = true;
    });
    throw new Error("no broker");
  };
  await assert.rejects(startService({ variables: {}, start }, { environment, logger }), /no broker/);
  assert.ok(stopped);
});

test("a fatal error while starting is what the start fails with", async () => {
  const reason = new Error("the first record was too much");
  const start = async (context: ServiceContext): Promise<void> => {
    context.fatal(reason);
    await new Promise(setImmediate);
  };
  await assert.rejects(startService({ variables: {}, start }, { environment, logger }), reason);
});

test("common and own variables are checked together", async () => {
  const start = () => Promise.resolve();
  await assert.rejects(
    startService(
      { variables: { TOKEN: text }, start },
      { environment: { ...environment, STACK: undefined }, logger },
    ),
    (error) => error instanceof ConfigError && error.mistakes.length === 2,
  );
});

test("a port in use is named", async () => {
  const first = await startService(
    { variables: {}, start: () => Promise.resolve() },
    { environment, logger },
  );
  await assert.rejects(
    startService(
      { variables: {}, start: () => Promise.resolve() },
      { environment: { ...environment, HTTP_PORT: String(first.port) }, logger },
    ),
    /HTTP_PORT \d+: .*in use/,
  );
  await first.stop();
});
