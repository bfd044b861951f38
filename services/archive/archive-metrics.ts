/** What the archiver tells Prometheus. */
import { Counter, Gauge } from "prom-client";
import type { ServiceContext } from "../core/service.ts";

/** @param behindByTopic records not read yet; asked at each scrape. */
export function archiveMetrics(context: ServiceContext, behindByTopic: () => Map<string, bigint>) {
  const registers = [context.metrics.registry];
  const labelNames = ["topic"];
  return {
    recordsTotal: new Counter({
      name: "trading_archived_records_total",
      help: "Records stored in the archive bucket, by topic.",
      labelNames,
      registers,
    }),
    behind: new Gauge({
      name: "trading_archive_behind_records",
      help: "Records that the archiver has not read yet, by topic.",
      labelNames,
      registers,
      collect() {
        for (const [topic, records] of behindByTopic()) this.set({ topic }, Number(records));
      },
    }),
  };
}
