/** The archive: export, restore and seal, with the real services, Kafka and S3 server, beside other programs in turns. */
import path from "node:path";
import { labDirectories } from "../lab/directories.ts";
import { startObjectStore } from "../lab/objectstore/index.ts";
import type { Opened } from "../services/archive/documents.ts";
import { type ClusterArchive, openArchive } from "../services/archive/index.ts";
import { documents } from "../services/archive/layout.ts";
import { toInstant } from "../services/core/time.ts";
import { measureExport } from "./archive-export.ts";
import type { ArchiveAmounts, ArchiveParts, ArchiveResult } from "./archive-parts.ts";
import { measureRestore } from "./archive-restore.ts";
import { measureSeals } from "./archive-seals.ts";
import { eventBytes } from "./events.ts";
import { findKcat } from "./kcat.ts";
import { type BenchWorld, businessDate } from "./world.ts";

/**
 * Measures all of it. The archiver archives every topic, so none may hold much beside those that are measured.
 * @throws MeasurementError, ObjectStoreInstallError, ObjectStoreStartError
 */
export async function measureArchive(
  world: BenchWorld,
  size: ArchiveAmounts,
  onProgress: (line: string) => void,
): Promise<ArchiveResult> {
  const { registry, signal } = world;
  const { cache: cacheDirectory } = labDirectories;
  const kcat = await findKcat({ cacheDirectory, registry, signal, onProgress });
  if ("missing" in kcat) onProgress(kcat.missing);
  const directory = path.join(world.directory, "objectstore");
  const store = await startObjectStore({ directory, cacheDirectory, registry, signal, onProgress });
  const archives: ClusterArchive[] = [];
  const openDay = async (): Promise<ClusterArchive> => {
    const identity = { stack: "dev", businessDate, clusterId: `bench-${archives.length + 1}` };
    const archive = openArchive(store, identity);
    archives.push(archive);
    const { clusterId: kafkaClusterId } = await world.admin.describeCluster();
    const opened: Opened = { ...identity, kafkaClusterId, openedAt: toInstant(Date.now()) };
    await archive.write(documents.opened, opened);
    return archive;
  };
  const parts: ArchiveParts = { world, store, size, kcat, openDay, onProgress };
  try {
    const exported = await measureExport(parts);
    const restored = await measureRestore(parts, exported);
    const seals = await measureSeals(parts);
    return {
      records: size.records,
      recordBytes: eventBytes,
      kcat: "missing" in kcat ? undefined : kcat.version,
      comparisons: [...exported.comparisons, ...restored.comparisons],
      exports: exported.uses,
      restorePeakRssMiB: restored.peakRssMiB,
      rate: size.rate,
      seals,
    };
  } finally {
    for (const { store: client } of archives) client.close();
    await store.stop();
  }
}
