/** What is watched, as Prometheus rules. Pure: the business date and the number of brokers are all they depend on. */
import type { RuleGroup } from "./custom-resources/prometheus.ts";
import { sessionOf } from "../services/catalog.ts";

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
  /** Commands that may wait for an executor: they are worth seconds. */
  waitingCommands: 100,
  /** Seconds that a command may be UNKNOWN: longer than its deadline and the venue's grace time take. */
  unknownSeconds: 120,
  /** Seconds without a message of the NEAR relay, which never closes. */
  silentNearFeed: 120,
} as const;

/**
 * What a counter gained in the last ten minutes. `increase` alone misses the first: a labelled counter appears with
 * the value 1.
 */
function gained(counter: string, by: string): string {
  const sum = `sum by (${by}) (${counter})`;
  return (
    `(sum by (${by}) (increase(${counter}[10m])) > 0) or ` +
    `(${sum} > 0 unless sum by (${by}) (${counter} offset 10m))`
  );
}

/** Epoch seconds, as PromQL has them. */
function seconds(instant: Date): number {
  return instant.getTime() / 1000;
}

/** Copies of partitions: there is nothing to watch where a single broker has the only one. */
const underReplicated: RuleGroup["rules"][number] = {
  alert: "UnderReplicatedPartitions",
  expr: "sum by (pod) (kafka_server_replicamanager_underreplicatedpartitions) > 0",
  for: "1m",
  labels: { severity: "critical" },
  annotations: {
    summary: "{{ $labels.pod }} leads partitions that lack a replica",
    description: "{{ $value }} partitions. One more lost broker and writing stops.",
  },
};

/**
 * The rules of a trading day.
 * @param businessDate `YYYY-MM-DD`; a cluster lives for one date, so market hours are two moments.
 * @param brokers how many brokers there should be.
 */
export function ruleGroups(businessDate: string, brokers: number): RuleGroup[] {
  const session = sessionOf(businessDate);
  // PromQL compares no two scalars without `bool`, hence the vectors. On a date without a session it never is.
  const marketIsOpen =
    session === undefined
      ? "(vector(0) > 0)"
      : `(vector(time()) >= ${seconds(session.open)}) and (vector(time()) < ${seconds(session.close)})`;
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
          alert: "BrokerMissing",
          // Every broker has this metric, whatever it leads; where none is scraped there is no series to count.
          expr: `(count(count by (pod) (kafka_server_replicamanager_underreplicatedpartitions)) or vector(0)) < ${brokers}`,
          // A broker that starts, at the opening too, is given this long.
          for: "2m",
          labels: { severity: "critical" },
          annotations: {
            summary: `Fewer than ${brokers} brokers answer`,
            description: `{{ $value }} of ${brokers} do.`,
          },
        },
        ...(brokers > 1 ? [underReplicated] : []),
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
          alert: "TradingNotReady",
          expr: `(max(trading_ready) == 0 or absent(trading_ready)) and on () (${marketIsOpen})`,
          for: "2m",
          labels: { severity: "critical" },
          annotations: {
            summary: "Canaries do not come through the pipeline while the market is open",
            description: "The monitor's log names the paths on which they are missing.",
          },
        },
        {
          alert: "CommandsWaiting",
          expr: `max by (group, topic) (trading_group_lag_records{topic="cmd.execute_trade"}) > ${thresholds.waitingCommands}`,
          for: "30s",
          labels: { severity: "critical" },
          annotations: {
            summary: "Commands wait for {{ $labels.group }}",
            description: "{{ $value }} of them; what waits too long is denied as stale.",
          },
        },
        {
          alert: "DeadLetters",
          expr: gained("trading_dead_letters_total", "service, topic"),
          for: "0m",
          labels: { severity: "warning" },
          annotations: {
            summary: "{{ $labels.service }} cannot process records of {{ $labels.topic }}",
            description:
              "{{ $value }} in ten minutes; they stand on the topic dead-letter with their reason.",
          },
        },
        {
          alert: "KillSwitchEngaged",
          expr: "max by (venue) (trading_kill_switch_engaged) > 0",
          for: "0m",
          labels: { severity: "critical" },
          annotations: {
            summary: "Trading at {{ $labels.venue }} is stopped",
            description: "Who engaged it, and why, stands on the topic control and in every denied result.",
          },
        },
        {
          alert: "CommandUnknown",
          expr: `max by (venue) (trading_oldest_unknown_command_seconds) > ${thresholds.unknownSeconds}`,
          for: "0m",
          labels: { severity: "critical" },
          annotations: {
            summary: "{{ $labels.venue }} does not say how an order ended",
            description: "It has been unknown for {{ $value | humanizeDuration }}; only the venue can tell.",
          },
        },
        {
          alert: "CommandsGivenUp",
          expr: gained("trading_commands_given_up_total", "venue"),
          for: "0m",
          labels: { severity: "warning" },
          annotations: {
            summary: "Trades at {{ $labels.venue }} were given up for safety",
            description: "{{ $value }} in ten minutes: an executor ended between intent and order.",
          },
        },
        {
          alert: "AccountMismatch",
          expr: 'sum by (venue) (trading_reconciliation_events_total{kind="account_mismatch"}) > 0',
          for: "0m",
          labels: { severity: "critical" },
          annotations: {
            summary: "Our books and those of {{ $labels.venue }} differ",
            description: "Trading there is blocked; the differences stand on exec.reconciliation.",
          },
        },
        {
          alert: "LateFill",
          expr: 'sum by (venue) (trading_reconciliation_events_total{kind="late_fill"}) > 0',
          for: "0m",
          labels: { severity: "critical" },
          annotations: {
            summary: "{{ $labels.venue }} filled orders whose commands had ended",
            description: "{{ $value }} so far; they stand on exec.reconciliation and in no result.",
          },
        },
        {
          alert: "SecondResult",
          expr: "sum by (venue) (trading_duplicate_results_total) > 0",
          for: "0m",
          labels: { severity: "critical" },
          annotations: {
            summary: "A command for {{ $labels.venue }} has more than one result",
            description: "{{ $value }} results too many; this must never happen.",
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
