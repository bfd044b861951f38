/**
 * One measurement of our bus in a process of its own, as a service would be: `worker.ts <WorkerOptions as JSON>`.
 * Prints its result as one JSON line. Started by the benchmarks, not by people.
 */
import type { ServiceContext } from "../services/core/service.ts";
import { testContext } from "../services/core/testing.ts";
import { measureConsume, measureProduce } from "./measure/throughput.ts";
import { measureLatency } from "./measure/latency.ts";
import { measureRestore } from "./measure/restore.ts";
import { measureStage } from "./measure/stage.ts";
import { measureTransactions } from "./measure/transactions.ts";
import { measureEvents } from "./measure/events.ts";
import type { WorkerOptions } from "./worker-options.ts";

/** A service's context that ends the process on what would end a service. */
function contextFor(options: WorkerOptions): { context: ServiceContext; stop: () => Promise<void> } {
  const context = testContext({
    SERVICE_NAME: `bench-${options.mode}-${process.pid}`,
    KAFKA_BROKERS: options.mode === "events" ? "127.0.0.1:1" : options.brokers.join(","),
    KAFKA_REPLICATION_FACTOR: "1",
    KAFKA_MIN_INSYNC_REPLICAS: "1",
  });
  const fatal = (error: unknown): void => {
    console.error(error);
    process.exit(1);
  };
  return { context: { ...context, fatal }, stop: () => context.stop() };
}

const options = JSON.parse(process.argv[2] ?? "null") as WorkerOptions;
const { context, stop } = contextFor(options);

async function measure(): Promise<object> {
  switch (options.mode) {
    case "produce":
      return measureProduce(context, options);
    case "consume":
      return measureConsume(context, options);
    case "stage":
      return measureStage(context, options);
    case "eos":
      return measureTransactions(context, options);
    case "latency":
      return measureLatency(context, options);
    case "restore":
      return measureRestore(context, options);
    case "events":
      return measureEvents(options);
  }
}

console.log(JSON.stringify(await measure()));
await stop();
process.exit(0);
