/**
 * The seal of a day that was archived while it went on: records come at a steady rate, and the seal is requested right after
 * the last one. At two sizes, because it must not grow with the day.
 */
import type { ArchiveParts, SealTime } from "./archive-parts.ts";
import { ArchiverProcess } from "./archiver-process.ts";
import type { Throughput } from "./worker-options.ts";

/** See the module's description. @throws MeasurementError */
export async function measureSeals(parts: ArchiveParts): Promise<SealTime[]> {
  const times: SealTime[] = [];
  for (const records of parts.size.days) {
    const time = await measureDay(parts, records);
    parts.onProgress(
      `day of ${records.toLocaleString("en")} records: sealed ${time.seconds.toFixed(1)} s after the last one, ` +
        `of which ${time.unread} were not read then; ${Math.round(time.peakRssMiB)} MiB`,
    );
    times.push(time);
  }
  return times;
}

async function measureDay(parts: ArchiveParts, records: number): Promise<SealTime> {
  const { world, store, size } = parts;
  const { brokers } = world.kafka;
  const archive = await parts.openDay();
  const topic = await world.newTopic("day");
  const archiver = await ArchiverProcess.start({ world, store, archive, label: `day-${records}` });
  try {
    await world.worker<Throughput>({ mode: "produce", brokers, topic, count: records, rate: size.rate });
    const unread = await archiver.unread(topic);
    const started = performance.now();
    await archiver.sealed(await ArchiverProcess.requestSeal(archive));
    const seconds = (performance.now() - started) / 1_000;
    return { records, seconds, unread, ...archiver.usage };
  } finally {
    await archiver.stop();
    await world.dropTopics(topic);
  }
}
