/**
 * The metrics of the services, all with the prefix `trading_`; process metrics (memory, event loop) keep
 * the names prom-client gives them. Prometheus adds pod and namespace; `service` is a label of ours.
 */
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from "prom-client";

/** Bounds of latency buckets in seconds: 1 ms to 60 s, denser where the targets are (5, 25 ms). */
const latencyBuckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

/** Makes the metrics of one service. */
export function createMetrics(service: string) {
  const registry = new Registry();
  registry.setDefaultLabels({ service });
  // The default of 10 ms would wake an idle process a hundred times a second.
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: 200 });
  const registers = [registry];
  const lastEventAt = new Map<string, number>();
  const lastEventAge = new Gauge({
    name: "trading_last_event_age_seconds",
    help: "Seconds since the feed's last message, or since the service started watching it.",
    labelNames: ["feed"],
    registers,
    collect() {
      for (const [feed, at] of lastEventAt) this.set({ feed }, (performance.now() - at) / 1000);
    },
  });
  return {
    registry,
    eventsIn: new Counter({
      name: "trading_events_in_total",
      help: "Events taken in, by topic or, in an ingestor, by feed.",
      labelNames: ["source"],
      registers,
    }),
    eventsOut: new Counter({
      name: "trading_events_out_total",
      help: "Events that a broker acknowledged, by topic.",
      labelNames: ["topic"],
      registers,
    }),
    deadLetters: new Counter({
      name: "trading_dead_letters_total",
      help: "Records that could not be processed and were put on the dead-letter topic, by origin topic.",
      labelNames: ["topic"],
      registers,
    }),
    tradeLatency: new Histogram({
      name: "trading_trade_latency_seconds",
      help: "From the ingestor's receipt of the cause to the result record in Kafka.",
      labelNames: ["venue", "status"],
      buckets: latencyBuckets,
      registers,
    }),
    tradeResults: new Counter({
      name: "trading_trade_results_total",
      help: "Terminal results, by venue and status.",
      labelNames: ["venue", "status"],
      registers,
    }),
    duplicateResults: new Counter({
      name: "trading_duplicate_results_total",
      help: "Terminal results seen more than once for one command.",
      labelNames: ["venue"],
      registers,
    }),
    commandsInFlight: new Gauge({
      name: "trading_commands_in_flight",
      help: "Commands with an intent and without a terminal state.",
      labelNames: ["venue"],
      registers,
    }),
    venueCallLatency: new Histogram({
      name: "trading_venue_call_seconds",
      help: "From sending an order to the venue's answer, by venue and outcome.",
      labelNames: ["venue", "outcome"],
      buckets: latencyBuckets,
      registers,
    }),
    consumerLag: new Gauge({
      name: "trading_consumer_lag_records",
      help: "Records between this consumer's position and the end of the partition, at its last batch.",
      labelNames: ["topic", "partition"],
      registers,
    }),
    feedConnected: new Gauge({
      name: "trading_feed_connected",
      help: "1 while the feed's connection is authenticated and subscribed.",
      labelNames: ["feed"],
      registers,
    }),
    feedReconnects: new Counter({
      name: "trading_feed_reconnects_total",
      help: "Connections of the feed that ended, by cause.",
      labelNames: ["feed", "cause"],
      registers,
    }),
    stageLatency: new Histogram({
      name: "trading_stage_latency_seconds",
      help: "From the ingestor's receipt of the cause until what a stage made of it was acknowledged: raw, norm, cmd.",
      labelNames: ["stage"],
      buckets: latencyBuckets,
      registers,
    }),
    canaryLatency: new Histogram({
      name: "trading_canary_latency_seconds",
      help: "From the monitor's sending of a canary to its result record in Kafka.",
      labelNames: ["venue"],
      buckets: latencyBuckets,
      registers,
    }),
    tradingReady: new Gauge({
      name: "trading_ready",
      help: "1 while canaries come through the whole pipeline, told by the monitor.",
      registers,
    }),
    groupLag: new Gauge({
      name: "trading_group_lag_records",
      help: "Records between a consumer group's committed offsets and the ends of a topic, over all partitions.",
      labelNames: ["group", "topic"],
      registers,
    }),
    lastEventAge,
    /** Notes that the feed delivered something (or, at start, that it is watched from now on). */
    feedAlive(feed: string): void {
      lastEventAt.set(feed, performance.now());
    },
    /** The feed ended on purpose: its age is no longer shown. */
    feedEnded(feed: string): void {
      lastEventAt.delete(feed);
      lastEventAge.remove({ feed });
    },
  };
}

/** The metrics of a service. */
export type Metrics = ReturnType<typeof createMetrics>;
