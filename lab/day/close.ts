/** The end of a day: seal, destroy, and the judge's look at what is left and at what was archived. */
import { rmSync, writeFileSync } from "node:fs";
import {
  type ArchivedRecord,
  openArchive,
  readArchive,
  verifyArchive,
} from "../../services/archive/index.ts";
import { deadLetterHeaders } from "../../services/bus/dead-letters.ts";
import { parseStackConfig } from "../../stacks/config.ts";
import type { Day } from "../day.ts";
import { labDirectories, labFiles } from "../directories.ts";
import { describeError } from "../errors.ts";
import { compareBook, readBooks } from "./books.ts";
import { type CountedRecord, countDay, type DayCounts, percentile } from "./counts.ts";
import { readEvidence } from "./evidence.ts";
import { readLeftNames } from "./exposure.ts";
import {
  judgeArchive,
  judgeBilling,
  judgeDeadLetters,
  judgeExecution,
  judgeLeftNames,
  judgePorts,
  judgeSecrets,
  searchSecrets,
  type SecretSearch,
} from "./judge.ts";
import { deadLetterTopic, readEvent, stageOf } from "./pipeline-events.ts";
import { renderReport } from "./report.ts";
import type { PromiseCheck } from "./summary.ts";

/** The Kubernetes API, the other port that may be open; SSH's comes from the configuration. */
const kubernetesApiPort = 6443;

/** Destroys what is up. Nothing else is deleted while a gate works, so the gates' time is the seal's. */
async function sealAndDestroy(day: Day): Promise<void> {
  const { engine, progress, summary } = day;
  if (engine === undefined || !(await engine.hasResources())) return;
  progress.phase("Sealing the archive, then destroying everything");
  const before = engine.timeline.length;
  const began = progress.seconds;
  try {
    summary.resources.deleted = (await engine.destroy()).deleted;
  } finally {
    const deletions = engine.timeline.slice(before);
    const gates = deletions.filter(({ name }) => name.endsWith("gate-sealed-archive"));
    summary.seconds.seal = gates.reduce((sum, gate) => sum + gate.to - gate.from, 0);
    summary.seconds.destroy = progress.seconds - began - summary.seconds.seal;
  }
}

const percentiles = (latencies: readonly number[]) => ({
  p50: percentile(latencies, 0.5),
  p99: percentile(latencies, 0.99),
});

interface ArchivedDay {
  counts: DayCounts;
  verified: boolean;
  problems: readonly string[];
  topics: number;
  messages: number;
  /** What a search for secrets in the evidence found; undefined when there is no manifest. */
  search: SecretSearch | undefined;
}

const positionOf = ({ topic, partition, offset }: ArchivedRecord) => `${topic} ${partition} ${offset}`;

/** Where a dead letter came from, as its headers tell. */
function originOf({ headers }: ArchivedRecord): string {
  const header = (wanted: string) => headers.find(([name]) => name === wanted)?.[1]?.toString();
  const { topic, partition, offset } = deadLetterHeaders;
  return `${header(topic)} ${header(partition)} ${header(offset)}`;
}

/** The secrets of a day's configuration, by key. */
function secretsOf({ configuration }: Day): Record<string, string> {
  const keys = configuration?.secretKeys ?? [];
  return Object.fromEntries(keys.map((key) => [key, configuration?.values[key] ?? ""]));
}

/** Reads the sealed archive back from the bucket, as anybody with its credentials could. */
async function readArchivedDay(day: Day): Promise<ArchivedDay | undefined> {
  const { outputs, world, options, sent } = day;
  if (outputs === undefined || world === undefined || day.workloads === undefined) return undefined;
  day.progress.phase("Reading the archive back");
  const archive = openArchive(world.endpoints.s3, {
    stack: options.stack,
    businessDate: outputs.businessDate,
    clusterId: outputs.clusterId,
  });
  try {
    const { verified, problems, topics, messages, manifest } = await verifyArchive(archive, { mode: "deep" });
    const counted = (manifest?.topics ?? [])
      .map(({ topic }) => topic)
      .filter((topic) => stageOf(topic) !== undefined || topic === deadLetterTopic);
    async function* records(): AsyncGenerator<CountedRecord> {
      if (!verified) return;
      for (const topic of counted) {
        for await (const record of readArchive(archive, topic, manifest)) {
          const position = topic === deadLetterTopic ? originOf(record) : positionOf(record);
          yield { topic, position, timestamp: Number(record.timestamp), event: readEvent(record.value) };
        }
      }
    }
    const evidence = manifest && (await readEvidence(archive, manifest, secretsOf(day)));
    for (const line of evidence?.lines ?? []) day.progress.line(line);
    const counts = await countDay(records(), sent);
    return { counts, verified, problems, topics, messages, search: evidence?.search };
  } finally {
    archive.store.close();
  }
}

/**
 * Ends a day in whatever state it is: seals and destroys what is up, judges, and stops all parts.
 * Never throws: what goes wrong stands in the summary's `error`.
 * @returns whether every promise that could be measured held, and what the archive says if it could be read.
 */
export async function closeDay(day: Day): Promise<{ held: boolean; counts: DayCounts | undefined }> {
  const { summary, progress, world } = day;
  const attempt = async (work: () => Promise<void>): Promise<void> => {
    try {
      await work();
    } catch (error) {
      const message = describeError(error);
      summary.error = summary.error === undefined ? message : `${summary.error}\n${message}`;
      progress.line(`failed: ${message.split("\n", 1)[0]}`);
    }
  };
  const promises: PromiseCheck[] = summary.promises;
  let archived: ArchivedDay | undefined;

  const searches: SecretSearch[] = [];
  const search = (roots: readonly string[]): void => {
    if (day.configuration === undefined || day.exposure === undefined) return;
    searches.push(searchSecrets(roots, secretsOf(day)));
  };

  // Its reader's group must be gone before the archive is sealed.
  await attempt(async () => day.watch?.stop());
  await attempt(async () => search(day.engine?.stateFiles ?? []));
  await attempt(() => sealAndDestroy(day));
  await attempt(async () => {
    archived = await readArchivedDay(day);
    if (archived === undefined) return;
    if (archived.search !== undefined) searches.push(archived.search);
    const { counts, topics, messages, verified } = archived;
    const books = world === undefined ? [] : readBooks(world);
    const checks = books.map((book) => compareBook(book, counts.reported));
    summary.events = counts.events;
    summary.venues = Object.fromEntries(
      Object.entries(counts.venues).map(([venue, { latencies, ...traded }]) => [
        venue,
        { ...traded, latency_ms: percentiles(latencies) },
      ]),
    );
    summary.duplicates = counts.duplicates + checks.reduce((sum, { twice }) => sum + twice, 0);
    summary.lost = counts.lost;
    summary.dead_letters = counts.deadLetters;
    summary.archive = { topics, messages, verified };
    summary.latency_ms = percentiles(counts.latencies);
    promises.push(judgeExecution(counts, checks), judgeArchive(archived, counts.lost));
    // What is in a person's own feed is a person's business.
    if (day.options.feed === undefined) promises.push(judgeDeadLetters(counts.deadLetters));
  });
  await attempt(async () => {
    if (world === undefined) return;
    const left = world.hetzner.project.billable();
    summary.billable_left = left.length;
    promises.push(judgeBilling(left), judgeLeftNames(await readLeftNames(world.endpoints.hetzner)));
  });
  await attempt(async () => {
    const { configuration, exposure } = day;
    if (configuration === undefined || exposure === undefined) return;
    const { adminCidrs, ssh } = parseStackConfig(configuration.values);
    promises.push(judgePorts(exposure, { ports: [ssh.port, kubernetesApiPort], cidrs: adminCidrs }));
    search([labDirectories.logs]);
    promises.push(judgeSecrets(searches));
  });

  progress.phase("Stopping the lab");
  await attempt(async () => {
    await day.workloads?.stop();
    await Promise.all([day.kafka?.stop(), day.kubernetes?.stop(), world?.stop()]);
  });
  for (const directory of [labDirectories.kafka, labDirectories.volumes])
    rmSync(directory, { recursive: true, force: true });
  return {
    held: promises.length > 0 && promises.every(({ held }) => held),
    counts: archived?.counts,
  };
}

/** Writes the report of a day whose archive could be read; the summary must be complete. */
export function writeReport(day: Day, counts: DayCounts): void {
  writeFileSync(
    labFiles.report,
    renderReport({
      summary: day.summary,
      promises: day.summary.promises,
      timeline: day.engine?.timeline ?? [],
      latencies: counts.latencies,
      ingestedAt: counts.ingestedAt,
    }),
  );
  day.progress.line(`report: ${labFiles.report}`);
}
