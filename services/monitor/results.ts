/** Watches the results of trades: latency from receipt to result, statuses, duplicates. */
import { startConsumer } from "../bus/consumer.ts";
import { putAside } from "../bus/dead-letters.ts";
import type { ReceivedRecord } from "../bus/record.ts";
import { connectBus, startConsumerDrain } from "../bus/stage.ts";
import { topics } from "../bus/topics.ts";
import { decodeEvent, InvalidEventError } from "../core/events.ts";
import type { ServiceContext, ServiceDefinition } from "../core/service.ts";
import { fromInstant } from "../core/time.ts";

/** A summary is logged after this many results. */
const logEvery = 100;

/** Command ids remembered to notice duplicates; older ones are forgotten, about 100 bytes each. */
const remembered = 100_000;

/** Takes results in and keeps the numbers. */
export class ResultWatch {
  readonly #context: Pick<ServiceContext, "metrics" | "logger">;
  readonly #seen = new Set<string>();
  readonly #byStatus: Record<string, number> = {};
  #count = 0;
  #slowestMs = 0;

  constructor(context: Pick<ServiceContext, "metrics" | "logger">) {
    this.#context = context;
  }

  /**
   * Takes one result in.
   * @throws InvalidEventError when the record holds none.
   */
  take(record: ReceivedRecord): void {
    const event = decodeEvent("exec.trade_result", record.value);
    const { command_id, status } = event.payload;
    const { metrics, logger } = this.#context;
    const { venue } = event;
    if (this.#seen.has(command_id)) {
      metrics.duplicateResults.inc({ venue });
      logger.error({ command_id, offset: record.offset }, "a second result for one command");
      return;
    }
    this.#seen.add(command_id);
    if (this.#seen.size > remembered) this.#seen.delete(this.#seen.values().next().value as string);
    const latencyMs = record.timestamp - fromInstant(event.ingested_at);
    metrics.tradeLatency.observe({ venue, status }, latencyMs / 1000);
    metrics.tradeResults.inc({ venue, status });
    this.#byStatus[status] = (this.#byStatus[status] ?? 0) + 1;
    this.#slowestMs = Math.max(this.#slowestMs, latencyMs);
    this.#count += 1;
    if (this.#count % logEvery === 0) {
      logger.info(
        { results: this.#count, by_status: this.#byStatus, slowest_ms: this.#slowestMs },
        "results",
      );
      this.#slowestMs = 0;
    }
  }
}

/** The service `result-monitor`. */
export const resultMonitor: ServiceDefinition<Record<never, never>> = {
  variables: {},
  start: async (context) => {
    const groupId = context.settings.SERVICE_NAME;
    const bus = await connectBus(context);
    const watch = new ResultWatch(context);
    await startConsumer({
      kafka: bus.kafka,
      groupId,
      topics: [topics.tradeResult.name],
      context,
      handle: async (records) => {
        for (const record of records) {
          try {
            watch.take(record);
          } catch (error) {
            if (!(error instanceof InvalidEventError)) throw error;
            await putAside(record, error, bus.producer, context);
          }
        }
      },
    });
    await startConsumerDrain(bus, context, groupId, [topics.tradeResult.name]);
  },
};
