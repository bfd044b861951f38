import assert from "node:assert/strict";
import { test } from "node:test";
import { type ArchiveResult, compareRates } from "./archive-parts.ts";
import { readGauge } from "./archiver-process.ts";
import { readKcatVersion } from "./kcat.ts";
import { describeArchive } from "./report-archive.ts";
import { archiveTargets } from "./targets.ts";

test("kcat's version and its library's are read from what it prints", () => {
  const printed = [
    "kcat - Apache Kafka producer and consumer tool",
    "Copyright (c) 2014-2021, Magnus Edenhill",
    "Version 1.7.1 (JSON, Transactions, IncrementalAssign, librdkafka 2.0.2 builtin.features=gzip,snappy)",
  ].join("\n");
  assert.equal(readKcatVersion(printed), "1.7.1, librdkafka 2.0.2");
  assert.equal(readKcatVersion(""), undefined);
});

test("a metric is read for its topic alone", () => {
  const metrics = [
    "# HELP trading_archived_records_total Records stored in the archive bucket, by topic.",
    'trading_archived_records_total{topic="bench-export-1",service="archiver"} 300000',
    'trading_archived_records_total{topic="bench-export-11",service="archiver"} 7',
  ].join("\n");
  assert.equal(readGauge(metrics, "trading_archived_records_total", "bench-export-1"), 300_000);
  assert.equal(readGauge(metrics, "trading_archived_records_total", "bench-export-2"), 0);
});

const pair = { name: "export, stored", reference: "kcat", target: archiveTargets.exportToKcat };
const resultOf = (comparison: ArchiveResult["comparisons"][number]): ArchiveResult => ({
  records: 1_000,
  recordBytes: 300,
  kcat: undefined,
  comparisons: [comparison],
  exports: [{ cpuSeconds: 2, peakRssMiB: 300 }],
  restorePeakRssMiB: 100,
  rate: 10,
  seals: [{ records: 50, seconds: 3, unread: 4, cpuSeconds: 1, peakRssMiB: 200 }],
});

test("each round has its own ratio", () => {
  const comparison = compareRates({ ...pair, missing: undefined }, [100, 300, 90], [100, 200, 100]);
  assert.equal(comparison.ratio, 1);
  assert.equal(comparison.ours, 100);
  const report = describeArchive(resultOf(comparison));
  assert.match(report, /\| 1\.00 +\| 60 % +\| ≥ 1 +\| met/);
  assert.match(report, /export of 1,000 records: most memory +\| 300 MiB +\| ≤ 256 +\| MISSED/);
  assert.match(report, /seal after the last one \(4 unread then\) +\| 3\.0 s +\| ≤ 10 +\| met/);
});

test("what could not be compared has its row and says what to do", () => {
  const missing = "kcat is not on PATH. Install it (Debian: `apt-get install kcat`)";
  const comparison = compareRates({ ...pair, missing }, [100_000], undefined);
  assert.equal(comparison.ours, 100_000);
  const report = describeArchive(resultOf(comparison));
  assert.match(
    report,
    /export, stored +\| 100 k\/s, 30\.0 MB\/s \| none +\| +\| +\| ≥ 1 +\| NOT MEASURED \| kcat/,
  );
  assert.match(report, /^NOT MEASURED: kcat is not on PATH.*apt-get install kcat/m);
});
