/**
 * Export: the archiver from the beginning of its work to everything stored in the bucket, packed and hashed, and to the
 * seal, which has read all of it back; against programs that write the same topic to a file.
 */
import type { ClusterArchive } from "../services/archive/index.ts";
import {
  type ArchiveComparison,
  type ArchiveParts,
  type ArchiverUse,
  compareRates,
} from "./archive-parts.ts";
import { ArchiverProcess } from "./archiver-process.ts";
import { archiveTargets } from "./targets.ts";
import type { Throughput } from "./worker-options.ts";

/** What came of the export's rounds. */
export interface Exported {
  comparisons: ArchiveComparison[];
  uses: ArchiverUse[];
  /** The last round's archive. */
  archive: ClusterArchive;
  /** The topic in it, and how many records that has. */
  topic: string;
  records: number;
}

const consoleConsumer = "org.apache.kafka.tools.consumer.ConsoleConsumer";

/** See the module's description. @throws MeasurementError */
export async function measureExport(parts: ArchiveParts): Promise<Exported> {
  const { world, size, kcat, onProgress } = parts;
  const { records } = size;
  const brokers = world.kafka.brokers.join(",");
  const topic = await world.newTopic("export");
  await world.worker<Throughput>({
    mode: "produce",
    brokers: world.kafka.brokers,
    topic,
    count: records,
  });
  const total = await world.recordsIn(topic);
  const kcats: number[] = [];
  const consoles: number[] = [];
  const stored: number[] = [];
  const sealed: number[] = [];
  const uses: ArchiverUse[] = [];
  let archive: ClusterArchive | undefined;
  for (let round = 1; round <= size.rounds; round++) {
    if ("command" in kcat) {
      const { command, environment } = kcat;
      // To the end of every partition, each record with its key, headers, offset and time as JSON.
      const args = ["-C", "-J", "-b", brokers, "-t", topic, "-o", "beginning", "-e", "-q"];
      kcats.push(
        total / (await world.printLines({ name: "kcat", command, args, environment, lines: total })),
      );
    }
    const args = ["--bootstrap-server", brokers, "--topic", topic, "--from-beginning"];
    const bounded = [...args, "--max-messages", String(total), "--timeout-ms", "60000"];
    consoles.push(total / (await world.printJavaLines(consoleConsumer, bounded, total)));

    archive = await parts.openDay();
    const own = await exportOnce(parts, archive, topic, total);
    stored.push(total / own.storedSeconds);
    sealed.push(total / own.sealedSeconds);
    uses.push(own.use);
    const show = (rate: number | undefined) =>
      rate === undefined ? "none" : `${Math.round(rate / 1_000)} k/s`;
    onProgress(
      `export, round ${round} of ${size.rounds}: kcat ${show(kcats.at(-1))}, console consumer ${show(consoles.at(-1))}, ` +
        `archiver stored ${show(stored.at(-1))}, sealed ${show(sealed.at(-1))}, ${Math.round(own.use.peakRssMiB)} MiB`,
    );
  }
  await world.dropTopics(topic);
  if (archive === undefined) throw new Error("there was no round");
  const missing = "missing" in kcat ? kcat.missing : undefined;
  const toKcat = { reference: "kcat -C -J to a file", missing };
  const toConsole = {
    reference: "console consumer, values to a file",
    missing: undefined,
    target: undefined,
  };
  const kcatRates = missing === undefined ? kcats : undefined;
  return {
    comparisons: [
      compareRates(
        { name: "export, stored", ...toKcat, target: archiveTargets.exportToKcat },
        stored,
        kcatRates,
      ),
      compareRates({ name: "export, stored", ...toConsole }, stored, consoles),
      compareRates({ name: "export, read back and sealed", ...toKcat, target: undefined }, sealed, kcatRates),
      compareRates({ name: "export, read back and sealed", ...toConsole }, sealed, consoles),
    ],
    uses,
    archive,
    topic,
    records: total,
  };
}

/** One archiver that begins with a full topic and has a seal to make. */
async function exportOnce(
  { world, store }: ArchiveParts,
  archive: ClusterArchive,
  topic: string,
  records: number,
): Promise<{ storedSeconds: number; sealedSeconds: number; use: ArchiverUse }> {
  // Requested before, so that the last records do not wait for an object to become old enough.
  const requestId = await ArchiverProcess.requestSeal(archive);
  const archiver = await ArchiverProcess.start({ world, store, archive, label: "export" });
  try {
    const started = performance.now();
    const seconds = (): number => (performance.now() - started) / 1_000;
    await archiver.stored(topic, records);
    const storedSeconds = seconds();
    await archiver.sealed(requestId);
    return { storedSeconds, sealedSeconds: seconds(), use: archiver.usage };
  } finally {
    await archiver.stop();
  }
}
