/** `trading archive show`: everything that is known of one cluster. */
import type { Command } from "commander";
import type { ClusterEntry } from "../../services/archive/catalogue.ts";
import type { ClusterArchive } from "../../services/archive/cluster-archive.ts";
import { type Manifest, manifestSchema, sealProgressSchema } from "../../services/archive/documents.ts";
import { documents, manifestName } from "../../services/archive/layout.ts";
import { listGenerations } from "../../services/archive/manifest-history.ts";
import { exitCodes } from "../exit-codes.ts";
import { type Run, runs } from "../run.ts";
import { table } from "../table.ts";
import { describeBucket } from "./bucket.ts";
import { addCluster, clusterPath, type ClusterOptions, openCluster } from "./select.ts";

/** Adds the command. */
export function registerShow(archive: Command): void {
  const show = addCluster(archive.command("show"))
    .description(
      "One cluster: state, topics and partitions with their records and hashes, consumer groups, evidence, carry-over, " +
        "override, earlier generations. Of a cluster without a manifest, what the bucket holds.",
    )
    .option("--json", "one JSON object with the whole manifest instead of a report")
    .action(runs(runShow));
  describeBucket(show);
}

interface Generation {
  generation: number;
  sealedAt: string;
  records: number;
  checksum: string;
}

/** What the bucket holds of a partition that no manifest tells of. */
interface StoredPartition {
  partition: string;
  first: string;
  last: string;
  objects: number;
  bytes: number;
}

async function runShow(run: Run, path: string | undefined, options: ClusterOptions & { json?: boolean }) {
  const { archive, entry } = await openCluster(path, options);
  try {
    const generations = await readGenerations(archive);
    const stored = entry.manifest === undefined ? await readStored(archive) : [];
    const progress = await archive.read(documents.sealProgress, sealProgressSchema).catch(() => undefined);
    const sealing = entry.state === "unsealed" && progress !== undefined ? progress.message : undefined;
    const { identity, ...rest } = entry;
    run.print(
      options.json
        ? JSON.stringify({ ...identity, ...rest, sealing, generations, stored })
        : print(entry, generations, stored, sealing),
    );
  } finally {
    archive.store.close();
  }
  return exitCodes.ok;
}

async function readGenerations(archive: ClusterArchive): Promise<Generation[]> {
  const generations: Generation[] = [];
  for (const generation of await listGenerations(archive)) {
    const manifest = await archive.read(manifestName(generation), manifestSchema).catch(() => undefined);
    if (manifest === undefined) continue;
    const { sealedAt, totals, checksum } = manifest;
    generations.push({ generation, sealedAt, records: totals.records, checksum });
  }
  return generations;
}

async function readStored(archive: ClusterArchive): Promise<StoredPartition[]> {
  return [...(await archive.ranges())].sort().map(([partition, ranges]) => {
    const firsts = ranges.map(({ first }) => first).sort((a, b) => (a < b ? -1 : 1));
    const lasts = ranges.map(({ last }) => last).sort((a, b) => (a < b ? -1 : 1));
    return {
      partition,
      first: String(firsts[0]),
      last: String(lasts.at(-1)),
      objects: ranges.length,
      bytes: ranges.reduce((sum, { bytes }) => sum + bytes, 0),
    };
  });
}

function print(
  { identity, state, opened, manifest, pruned, override, problems }: ClusterEntry,
  generations: readonly Generation[],
  stored: readonly StoredPartition[],
  sealing: string | undefined,
): string {
  const lines = [`${clusterPath(identity)}: ${state}`, ...problems.map((problem) => `  - ${problem}`)];
  const fact = (name: string, text: string | undefined): void => {
    if (text !== undefined) lines.push(`${name.padEnd(12)} ${text}`);
  };
  fact("opened", opened === undefined ? "never" : `${opened.openedAt}, Kafka ${opened.kafkaClusterId}`);
  fact("seal", sealing);
  fact("loss allowed", override && `${override.overriddenAt} by ${override.by}`);
  fact(
    "pruned",
    pruned && `${pruned.finishedAt ?? `begun ${pruned.prunedAt}, not finished`} by ${pruned.by}`,
  );
  if (manifest !== undefined) lines.push(...describeManifest(manifest));
  if (stored.length > 0) {
    const rows = stored.map(({ partition, first, last, objects, bytes }) => [
      partition,
      `${first}-${last}`,
      String(objects),
      String(bytes),
    ]);
    lines.push("", table(["STORED", ">OFFSETS", ">OBJECTS", ">BYTES"], rows));
  }
  if (generations.length > 0) {
    const rows = generations.map(({ generation, sealedAt, records, checksum }) => [
      String(generation),
      sealedAt,
      String(records),
      checksum,
    ]);
    lines.push("", table([">GENERATION", "SEALED", ">RECORDS", "CHECKSUM"], rows));
  }
  return lines.join("\n");
}

function describeManifest(manifest: Manifest): string[] {
  const { totals, evidence, carryOver, groups, versions } = manifest;
  const versionList = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  const partitions = manifest.topics.flatMap(({ topic, deleted, partitions: all }) =>
    all.map((partition) => [
      `${topic}/${partition.partition}${deleted ? " (deleted)" : ""}`,
      partition.start === partition.logEnd ? "-" : `${partition.start}-${BigInt(partition.logEnd) - 1n}`,
      String(partition.records),
      String(partition.objects.length),
      String(partition.objects.reduce((sum, { bytes }) => sum + bytes, 0)),
      partition.recordsSha256,
    ]),
  );
  const offsets = groups.flatMap(({ group, offsets: committed }) =>
    committed.map(({ topic, partition, offset }) => [group, `${topic}/${partition}`, offset]),
  );
  const lines = [
    `sealed       ${manifest.sealedAt}, generation ${manifest.generation}, checksum ${manifest.checksum}`,
    `holds        ${totals.records} records of ${totals.topics} topics, ${totals.partitions} partitions in ${totals.objects} objects, ${totals.bytes} bytes`,
    `carry-over   ${carryOver === null ? "none" : `${carryOver.commands} commands in ${carryOver.name}`}`,
    `versions     ${versionList.join(", ")}`,
    "",
    table(["PARTITION", ">OFFSETS", ">RECORDS", ">OBJECTS", ">BYTES", "SHA-256 OF ITS RECORDS"], partitions),
  ];
  if (offsets.length > 0) lines.push("", table(["GROUP", "PARTITION", ">COMMITTED"], offsets));
  if (evidence.length > 0) {
    const rows = evidence.map(({ name, bytes, sha256 }) => [name, String(bytes), sha256]);
    lines.push("", table(["EVIDENCE", ">BYTES", "SHA-256"], rows));
  }
  return lines;
}
