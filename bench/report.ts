/** The figures as Markdown tables, which read well in a terminal too and go into docs/performance.md as they are. */
import { cpus, loadavg, totalmem } from "node:os";
import type { Comparison } from "./bus.ts";
import type { ArchiveResult } from "./archive-parts.ts";
import type { PathResult } from "./path.ts";
import { describeArchive } from "./report-archive.ts";
import { describeInfrastructure } from "./report-infrastructure.ts";
import type { InfrastructureResult } from "./infrastructure.ts";
import { table, verdict } from "./table.ts";
import { describeTarget, meets, pathTargets } from "./targets.ts";
import type { EventCosts } from "./worker-options.ts";

/** Where and when, since figures mean nothing without it. */
export interface Machine {
  at: string;
  node: string;
  java: string;
  kafka: string;
  cpu: string;
  cores: number;
  memoryGiB: number;
  brokers: number;
  quick: boolean;
  /** Mean number of runnable processes over the last minute, before the first measurement. */
  loadBefore: number;
}

/** Everything a run found. */
export interface BenchReport {
  machine: Machine;
  comparisons: Comparison[];
  archive: ArchiveResult | undefined;
  paths: PathResult[];
  costs: EventCosts;
  infrastructure: InfrastructureResult | undefined;
  /** Measurements that did not come to an end, in words. */
  failures: string[];
}

/** Describes this machine. @param java as `java -version` says. */
export function describeMachine(facts: Pick<Machine, "java" | "kafka" | "brokers" | "quick">): Machine {
  return {
    at: new Date().toISOString(),
    node: process.version,
    ...facts,
    cpu: cpus()[0]?.model ?? "unknown",
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    loadBefore: Math.round((loadavg()[0] ?? 0) * 10) / 10,
  };
}

const figure = (value: number, unit: Comparison["unit"]): string =>
  unit === "ms" ? `${value.toFixed(2)} ms` : `${(value / 1_000).toFixed(0)} k/s`;

function comparisonTable(comparisons: readonly Comparison[]): string {
  return table(
    ["measured", "ours", "Java", "ours ÷ Java", "spread", "target", "", "Java is"],
    comparisons.map(({ name, unit, ours, java, ratio, ratioSpread, target, reference }) => [
      name,
      figure(ours, unit),
      figure(java, unit),
      ratio.toFixed(2),
      `${Math.round(ratioSpread * 100)} %`,
      ...verdict(target, ratio),
      reference,
    ]),
  );
}

function pathTables({
  rate,
  commandsPerSecond,
  sustained,
  stages,
  reference,
  services,
  results,
  venue,
  ...lag
}: PathResult): string {
  const ms = (value: number) => (Number.isNaN(value) ? "none" : `${value.toFixed(1)} ms`);
  const stageRows = stages.map(({ name, samples, p50, p99, max, targets }) => {
    const judged = targets
      ? [
          describeTarget(pathTargets.p50) + " / " + describeTarget(pathTargets.p99),
          meets(pathTargets.p50, p50) && meets(pathTargets.p99, p99) ? "met" : "MISSED",
        ]
      : ["", ""];
    return [name, String(samples), ms(p50), ms(p99), ms(max), ...judged];
  });
  const referenceRows = reference.map(({ name, samples, p50, p99, max }) => {
    return [`Java's clients, the hops alone: ${name}`, String(samples), ms(p50), ms(p99), ms(max), "", ""];
  });
  const serviceRows = services.map(({ name, cpu, rssMiB }) => [
    name,
    `${Math.round(cpu * 100)} %`,
    `${Math.round(rssMiB)} MiB`,
  ]);
  const statuses = Object.entries(results)
    .map(([status, count]) => `${count} ${status}`)
    .join(", ");
  return [
    `${rate.toLocaleString("en")} quotes/s and ${commandsPerSecond} commands/s asked for, ${Math.round(sustained).toLocaleString("en")}/s reached the raw topic; results: ${statuses || "none"}; ` +
      `venue's own time p50 ${ms(venue.p50)}, p99 ${ms(venue.p99)}; ` +
      `largest backlog ${lag.largestBacklog} quotes, no lag ${lag.settledAfterSeconds.toFixed(1)} s after the last one.`,
    table(
      ["stage", "samples", "p50", "p99", "max", "target p50 / p99", ""],
      [...stageRows, ...referenceRows],
    ),
    table(["process", "CPU (of one core)", "RSS"], serviceRows),
  ].join("\n\n");
}

function costTable(costs: EventCosts): string {
  return table(
    ["function", "µs an event", "bytes"],
    costs.map(({ name, microseconds, bytes }) => [name, microseconds.toFixed(2), String(bytes)]),
  );
}

/** The whole report. */
export function describeReport({ machine, comparisons, archive, ...rest }: BenchReport): string {
  const { paths, costs, failures, infrastructure } = rest;
  const { at, node, java, kafka, cpu, cores, memoryGiB, brokers, quick, loadBefore } = machine;
  const parts = [
    `${at}; ${cores} × ${cpu}, ${memoryGiB} GiB; Node ${node}, ${java}, Kafka ${kafka}, ` +
      `${brokers === 1 ? "one broker" : "three brokers, everything replicated three times"}, ` +
      `clients and brokers on the same cores; load before: ${loadBefore}${quick ? "; quick run: rough" : ""}.`,
  ];
  if (comparisons.length > 0) parts.push(comparisonTable(comparisons));
  if (archive !== undefined) parts.push(describeArchive(archive));
  for (const path of paths) parts.push(pathTables(path));
  if (costs.length > 0) parts.push(costTable(costs));
  if (infrastructure !== undefined) parts.push(describeInfrastructure(infrastructure));
  if (failures.length > 0) parts.push(failures.map((failure) => `FAILED: ${failure}`).join("\n"));
  return parts.join("\n\n");
}
