/** What is watched, as Prometheus rules. Pure: the business date is all they depend on. */
import type { RuleGroup } from "./custom-resources/prometheus.ts";
import { marketHours } from "./market-hours.ts";

/** Bounds at which people are told. */
export const thresholds = {
  /** Records that a consumer group may be behind. */
  consumerLag: 1_000,
  /** Seconds from the ingestor's receipt to the result. */
  tradeLatencyP95: 1,
  /** Bytes a second into one broker: about half of what its network and disk carry. */
  brokerBytesPerSecond: 50 * 1024 * 1024,
  /** Seconds without a message of a stock feed while the market is open. */
  silentStockFeed: 60,
  /** Seconds without a message of the NEAR relay, which never closes. */
  silentNearFeed: 120,
} as const;

/**
 * The rules of a trading day.
 * @param businessDate `YYYY-MM-DD`; a cluster lives for one date, so market hours are two moments.
 */
export function ruleGroups(businessDate: string): RuleGroup[] {
  const { opensAt, closesAt } = marketHours(businessDate);
  const marketIsOpen = `(time() >= ${opensAt}) and (time() < ${closesAt})`;
  return [
    {
      name: "kafka",
      rules: [
        {
          alert: "ConsumerLag",
          expr: `sum by (consumergroup, topic) (kafka_consumergroup_lag) > ${thresholds.consumerLag}`,
          for: "2m",
          labels: { severity: "warning" },
          annotations: {
            summary: "{{ $labels.consumergroup }} is behind on {{ $labels.topic }}",
            description: "{{ $value }} records are waiting.",
          },
        },
        {
          record: "trading:broker_bytes_in:rate5m",
          // The series without a topic is the sum of the others.
          expr: 'sum by (pod) (rate(kafka_server_brokertopicmetrics_bytesinpersec_total{topic!=""}[5m]))',
        },
        {
          record: "trading:broker_bytes_out:rate5m",
          expr: 'sum by (pod) (rate(kafka_server_brokertopicmetrics_bytesoutpersec_total{topic!=""}[5m]))',
        },
        {
          alert: "BrokerThroughput",
          expr: `trading:broker_bytes_in:rate5m > ${thresholds.brokerBytesPerSecond}`,
          for: "5m",
          labels: { severity: "warning" },
          annotations: {
            summary: "{{ $labels.pod }} takes in more than it was sized for",
            description: "{{ $value | humanize1024 }}B a second.",
          },
        },
        {
          alert: "UnderReplicatedPartitions",
          expr: "sum by (pod) (kafka_server_replicamanager_underreplicatedpartitions) > 0",
          for: "1m",
          labels: { severity: "critical" },
          annotations: {
            summary: "{{ $labels.pod }} leads partitions that lack a replica",
            description: "{{ $value }} partitions. One more lost broker and writing stops.",
          },
        },
      ],
    },
    {
      name: "trading",
      rules: [
        {
          alert: "TradeLatencyP95",
          expr: `histogram_quantile(0.95, sum by (venue, le) (rate(trading_trade_latency_seconds_bucket[5m]))) > ${thresholds.tradeLatencyP95}`,
          for: "2m",
          labels: { severity: "warning" },
          annotations: {
            summary: "Trades at {{ $labels.venue }} are slow",
            description: "95 of 100 take up to {{ $value }} s from the cause's receipt to the result.",
          },
        },
        {
          alert: "SilentStockFeed",
          expr: `(max by (feed) (trading_last_event_age_seconds{feed="alpaca.stocks"}) > ${thresholds.silentStockFeed}) and on () (${marketIsOpen})`,
          for: "30s",
          labels: { severity: "critical" },
          annotations: {
            summary: "No message from {{ $labels.feed }} while the market is open",
            description: "The last one came {{ $value }} s ago.",
          },
        },
        {
          alert: "SilentNearFeed",
          expr: `max by (feed) (trading_last_event_age_seconds{feed="near-intents.quote"}) > ${thresholds.silentNearFeed}`,
          for: "30s",
          labels: { severity: "critical" },
          annotations: {
            summary: "No message from {{ $labels.feed }}",
            description: "The last one came {{ $value }} s ago; this market never closes.",
          },
        },
      ],
    },
    {
      name: "kubernetes",
      rules: [
        {
          alert: "PodRestarts",
          expr: 'increase(kube_pod_container_status_restarts_total{namespace=~"kafka|ingestion|strategies"}[10m]) > 1',
          for: "0m",
          labels: { severity: "warning" },
          annotations: {
            summary: "{{ $labels.namespace }}/{{ $labels.pod }} restarts",
            description: "{{ $value }} times in ten minutes.",
          },
        },
      ],
    },
  ];
}
