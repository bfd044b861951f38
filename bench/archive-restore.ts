/** Restore of an archived topic, with and without reading it back from the target, against ProducerPerformance. */
import type { Exported } from "./archive-export.ts";
import {
  type ArchiveComparison,
  type ArchiveParts,
  archiveVariables,
  compareRates,
} from "./archive-parts.ts";
import { readProducerPerformance } from "./bus.ts";
import { MeasurementError } from "./process-output.ts";
import type { RestoreTime } from "./worker-options.ts";

/** What came of the restore's rounds. */
export interface Restored {
  comparisons: ArchiveComparison[];
  /** Of the restoring process, in MiB. */
  peakRssMiB: number;
}

/** See the module's description. @param exported what is restored. @throws MeasurementError */
export async function measureRestore(parts: ArchiveParts, exported: Exported): Promise<Restored> {
  const { world, store, size, onProgress } = parts;
  const { brokers } = world.kafka;
  const java: number[] = [];
  const written: number[] = [];
  const proven: number[] = [];
  let peakRssMiB = 0;
  for (let round = 1; round <= size.rounds; round++) {
    const javaTopic = await world.newTopic("restore-java");
    const target = { bootstrap: ["--bootstrap-server", brokers.join(",")], topic: ["--topic", javaTopic] };
    const amount = ["--num-records", String(size.records), "--throughput", "-1"];
    const properties = [
      "--payload-file",
      world.payload,
      "--command-property",
      "acks=all",
      "compression.type=lz4",
    ];
    const args = [...target.topic, ...amount, ...target.bootstrap, ...properties];
    java.push(readProducerPerformance(await world.java("org.apache.kafka.tools.ProducerPerformance", args)));
    await world.dropTopics(javaTopic);

    // Not made before: the restore makes its target with the settings that it needs.
    const own = `bench-restored-${round}`;
    const result = await world.worker<RestoreTime>(
      { mode: "restore", brokers, topic: exported.topic, target: own },
      archiveVariables(store, exported.archive),
    );
    await world.dropTopics(own);
    if (result.records !== exported.records) {
      throw new MeasurementError(`${result.records} records were restored instead of ${exported.records}`);
    }
    written.push(result.records / result.writtenSeconds);
    proven.push(result.records / result.provenSeconds);
    peakRssMiB = Math.max(peakRssMiB, result.peakRssMiB);
    const show = (rate: number | undefined) => `${Math.round((rate ?? 0) / 1_000)} k/s`;
    onProgress(
      `restore, round ${round} of ${size.rounds}: ProducerPerformance ${show(java.at(-1))}, ` +
        `ours written ${show(written.at(-1))}, read back ${show(proven.at(-1))}, ${Math.round(result.peakRssMiB)} MiB`,
    );
  }
  const pair = { reference: "ProducerPerformance", missing: undefined, target: undefined };
  return {
    comparisons: [
      compareRates({ name: "restore, written", ...pair }, written, java),
      compareRates({ name: "restore, read back and compared", ...pair }, proven, java),
    ],
    peakRssMiB,
  };
}
