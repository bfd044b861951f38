/**
 * What the figures are held against: ratios to Kafka's Java clients in the same run, per Node process with kafkajs,
 * and absolute times of the whole path.
 */

/** A bound on a figure. */
export interface Target {
  /** `least`: the figure must not be smaller; `most`: not larger. */
  readonly kind: "least" | "most";
  readonly bound: number;
}

/** Throughput of ours ÷ Java's; p99 of ours ÷ Java's. */
export const busTargets = {
  produce: { kind: "least", bound: 0.25 },
  consume: { kind: "least", bound: 0.25 },
  stage: { kind: "least", bound: 0.5 },
  eos: { kind: "least", bound: 0.5 },
  latency: { kind: "most", bound: 2 },
} as const satisfies Record<string, Target>;

/** Milliseconds from raw to result at 1,000 quotes a second, without the venue's own time. */
export const pathTargets = {
  p50: { kind: "most", bound: 5 },
  p99: { kind: "most", bound: 25 },
} as const satisfies Record<string, Target>;

/**
 * The archive: records a second of the export ÷ kcat's, packing and storing included; resident memory of the archiver in MiB;
 * seconds from the last record of a day to its seal.
 */
export const archiveTargets = {
  exportToKcat: { kind: "least", bound: 1 },
  memory: { kind: "most", bound: 256 },
  seal: { kind: "most", bound: 10 },
} as const satisfies Record<string, Target>;

/**
 * The infrastructure, in model time: `up` ÷ the longest unavoidable chain; seed 000's sequence ÷ `up`; seconds of a
 * `destroy` after the seal; API requests of an `up` of four nodes.
 */
export const infrastructureTargets = {
  upToChain: { kind: "most", bound: 1.05 },
  sequentialToUp: { kind: "least", bound: 2 },
  destroySeconds: { kind: "most", bound: 60 },
  requests: { kind: "most", bound: 250 },
} as const satisfies Record<string, Target>;

/** Whether a figure keeps to its target; NaN never does. */
export function meets(target: Target, figure: number): boolean {
  return target.kind === "least" ? figure >= target.bound : figure <= target.bound;
}

/** For example `≥ 0.25`. */
export function describeTarget(target: Target): string {
  return `${target.kind === "least" ? "≥" : "≤"} ${target.bound}`;
}
