/** Watches the results of trades: latency from receipt to result, statuses, duplicates. Canaries are no trades. */
import type { ReceivedRecord } from "../bus/record.ts";
import type { Event } from "../core/envelope.ts";
import { decodeEvent } from "../core/events.ts";
import type { ServiceContext } from "../core/service.ts";
import { fromInstant } from "../core/time.ts";
import type { TradeResult } from "../core/trading.ts";
import { isCanaryResult } from "./canaries.ts";

/** A summary is logged after this many results. */
const logEvery = 100;

/** Command ids remembered to notice duplicates; older ones are forgotten, about 100 bytes each. */
const remembered = 100_000;

/** Takes results in and keeps the numbers. */
export class ResultWatch {
  readonly #context: Pick<ServiceContext, "metrics" | "logger">;
  readonly #onCanary: (result: Event<TradeResult>, timestamp: number) => void;
  readonly #seen = new Set<string>();
  readonly #byStatus: Record<string, number> = {};
  #count = 0;
  #slowestMs = 0;

  /** @param onCanary called for the result of each canary, with the record's time in milliseconds since the epoch. */
  constructor(
    context: Pick<ServiceContext, "metrics" | "logger">,
    onCanary: (result: Event<TradeResult>, timestamp: number) => void,
  ) {
    this.#context = context;
    this.#onCanary = onCanary;
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
    if (isCanaryResult(event.payload)) {
      this.#onCanary(event, record.timestamp);
      return;
    }
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
