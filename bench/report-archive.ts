/** The archive's figures as Markdown tables. */
import type { ArchiveComparison, ArchiveResult } from "./archive-parts.ts";
import { table, verdict } from "./table.ts";
import { archiveTargets } from "./targets.ts";

/** Records and megabytes (10^6 bytes of the records' values) a second. */
function throughput(recordsPerSecond: number, recordBytes: number): string {
  const megabytes = (recordsPerSecond * recordBytes) / 1e6;
  return `${(recordsPerSecond / 1_000).toFixed(0)} k/s, ${megabytes.toFixed(1)} MB/s`;
}

function comparisonRow(comparison: ArchiveComparison, recordBytes: number): string[] {
  const { name, reference, target, missing, ours, theirs, ratio, ratioSpread } = comparison;
  if (missing !== undefined) {
    const [bound] = verdict(target, Number.NaN);
    return [name, throughput(ours, recordBytes), "none", "", "", bound, "NOT MEASURED", reference];
  }
  return [
    name,
    throughput(ours, recordBytes),
    throughput(theirs, recordBytes),
    ratio.toFixed(2),
    `${Math.round(ratioSpread * 100)} %`,
    ...verdict(target, ratio),
    reference,
  ];
}

const count = (number: number): string => number.toLocaleString("en");

/** Memory and processor time of archiver and restore, and the seals' times. */
function archiverTable({ records, exports, restorePeakRssMiB, rate, seals }: ArchiveResult): string {
  const peak = Math.max(...exports.map(({ peakRssMiB }) => peakRssMiB));
  const cpu = Math.max(...exports.map(({ cpuSeconds }) => cpuSeconds));
  const memoryRow = (name: string, peakRssMiB: number): string[] => [
    `${name}: most memory`,
    `${Math.round(peakRssMiB)} MiB`,
    ...verdict(archiveTargets.memory, peakRssMiB),
  ];
  return table(
    ["our processes", "", "target", ""],
    [
      memoryRow(`export of ${count(records)} records`, peak),
      [`export of ${count(records)} records: processor time with start and seal`, `${cpu.toFixed(1)} s`],
      [`restore of ${count(records)} records: most memory`, `${Math.round(restorePeakRssMiB)} MiB`],
      ...seals.flatMap((seal) => [
        [
          `day of ${count(seal.records)} records at ${count(rate)}/s: seal after the last one (${count(seal.unread)} unread then)`,
          `${seal.seconds.toFixed(1)} s`,
          ...verdict(archiveTargets.seal, seal.seconds),
        ],
        memoryRow(`day of ${count(seal.records)} records at ${count(rate)}/s`, seal.peakRssMiB),
      ]),
    ],
  );
}

/** All of it. */
export function describeArchive(result: ArchiveResult): string {
  const { records, recordBytes, kcat, comparisons } = result;
  const missing = new Set(comparisons.flatMap((comparison) => comparison.missing ?? []));
  return [
    `Archive: ${count(records)} records of ${recordBytes} bytes; MB are 10^6 bytes of the records' values; ` +
      `${kcat === undefined ? "no kcat" : `kcat ${kcat}`}.`,
    table(
      ["measured", "ours", "other", "ours ÷ other", "spread", "target", "", "other is"],
      comparisons.map((comparison) => comparisonRow(comparison, recordBytes)),
    ),
    ...[...missing].map((why) => `NOT MEASURED: ${why}`),
    archiverTable(result),
  ].join("\n\n");
}
