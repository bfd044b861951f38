/** Metrics that only executors have; they stand in the service's registry beside the common ones. */
import { Counter, Gauge, type Registry } from "prom-client";

/** What is looked up when the metrics are read. */
export interface ExecutionState {
  venue: string;
  /** Whether a kill switch stops this venue. */
  isStopped(): boolean;
  /** Age of the command that has been UNKNOWN for the longest time, in seconds; 0 when there is none. */
  oldestUnknownSeconds(): number;
}

/** Makes the executor's metrics; once per registry. */
export function executionMetrics(registry: Registry, state: ExecutionState) {
  const registers = [registry];
  const { venue } = state;
  new Gauge({
    name: "trading_kill_switch_engaged",
    help: "1 while a kill switch, or an account that differs, stops this venue.",
    labelNames: ["venue"],
    registers,
    collect() {
      this.set({ venue }, state.isStopped() ? 1 : 0);
    },
  });
  new Gauge({
    name: "trading_oldest_unknown_command_seconds",
    help: "Age of the command whose outcome at the venue has been unknown for the longest time; 0 when there is none.",
    labelNames: ["venue"],
    registers,
    collect() {
      this.set({ venue }, state.oldestUnknownSeconds());
    },
  });
  return {
    givenUp: new Counter({
      name: "trading_commands_given_up_total",
      help: "Commands whose intent a successor found and did not send, because a former owner might have: the trade is lost for safety.",
      labelNames: ["venue"],
      registers,
    }),
    denials: new Counter({
      name: "trading_denials_total",
      help: "Commands that were denied before anything was sent, by reason code.",
      labelNames: ["venue", "reason"],
      registers,
    }),
    reconciliationEvents: new Counter({
      name: "trading_reconciliation_events_total",
      help: "Reconciliation events, by kind; account_mismatch and late_fill need a person.",
      labelNames: ["venue", "kind"],
      registers,
    }),
    partitionsLost: new Counter({
      name: "trading_partitions_lost_total",
      help: "Times that the right to write for a partition was lost: to another executor, or because a commit's outcome was not certain.",
      labelNames: ["venue"],
      registers,
    }),
  };
}

/** The executor's metrics. */
export type ExecutionMetrics = ReturnType<typeof executionMetrics>;
