/** What tests of services share: a context without a process around it, and waiting for a condition. */
import { setTimeout as delay } from "node:timers/promises";
import { pino } from "pino";
import { readConfig, serviceVariables } from "./config.ts";
import { Health } from "./health.ts";
import { createMetrics } from "./metrics.ts";
import type { ServiceContext } from "./service.ts";

/** A context for tests; `fatals` collects what was reported as fatal. */
export interface TestContext extends ServiceContext {
  readonly fatals: unknown[];
  /** Runs the registered steps of the stop, last first. */
  stop(): Promise<void>;
}

/** Makes a context for tests, silent, with a Kafka address nobody answers on. */
export function testContext(environment: Record<string, string> = {}): TestContext {
  const steps: (() => Promise<void> | void)[] = [];
  const fatals: unknown[] = [];
  const abort = new AbortController();
  return {
    settings: readConfig(serviceVariables, {
      SERVICE_NAME: "test",
      STACK: "dev",
      CLUSTER_ID: "test",
      BUSINESS_DATE: "2025-10-14",
      KAFKA_BROKERS: "127.0.0.1:1",
      ...environment,
    }),
    logger: pino({ level: "silent" }),
    metrics: createMetrics("test"),
    health: new Health(),
    signal: abort.signal,
    onStop: (_name, step) => steps.push(step),
    fatal: (error) => fatals.push(error),
    fatals,
    stop: async () => {
      abort.abort();
      for (const step of steps.reverse()) await step();
    },
  };
}

/** Waits until `condition` holds. @throws Error after `deadlineMs` that names `what`. */
export async function until(what: string, condition: () => boolean, deadlineMs = 20_000): Promise<void> {
  const end = Date.now() + deadlineMs;
  while (!condition()) {
    if (Date.now() > end) throw new Error(`not in ${deadlineMs / 1000} s: ${what}`);
    await delay(5);
  }
}
