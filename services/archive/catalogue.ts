/** Which clusters' archives the bucket holds, and in what state each is: told from their documents alone. */
import { z } from "zod";
import { instantString } from "../core/time.ts";
import { ArchiveDocumentError, ClusterArchive } from "./cluster-archive.ts";
import { mapConcurrently } from "./concurrency.ts";
import { type Manifest, manifestSchema, type Opened, openedSchema } from "./documents.ts";
import { type ArchiveIdentity, documents } from "./layout.ts";
import { manifestProblems } from "./manifest-check.ts";
import type { ArchiveStore } from "./store.ts";

/** `pruned.json`: the cluster's records were removed, or are being removed. For it stays who did it and what it held. */
export const prunedSchema = z.object({
  stack: z.string().min(1),
  businessDate: z.string().min(1),
  clusterId: z.string().min(1),
  /** When the removal was begun, and when it was done; null until then. */
  prunedAt: instantString,
  finishedAt: instantString.nullable(),
  /** User and host name of the machine it was said on. */
  by: z.string(),
  /** Set when the cluster was not sealed and somebody named it to be removed all the same. */
  unsealed: z.boolean(),
  /** What was removed; null when no manifest could tell. */
  generation: z.int().min(1).nullable(),
  manifestChecksum: z.string().nullable(),
  records: z.int().min(0).nullable(),
});
export type Pruned = z.infer<typeof prunedSchema>;

/** `data-loss-override.json`, as far as anyone reads it. */
export const overrideSchema = z.object({ overriddenAt: z.string(), by: z.string() });

/**
 * What is known of a cluster's archive without looking at its objects. `sealed`: its manifest is whole, is this cluster's
 * and tells of no loss (whether the objects are there is a question for `verifyArchive`). `unsealed`: there is no
 * manifest, or one that tells of losses. `pruning`: a removal was begun and not finished. `pruned`: only its markers are
 * left. `damaged`: a document cannot be read, contradicts another or itself.
 */
export type ClusterState = "sealed" | "unsealed" | "pruning" | "pruned" | "damaged";

/** One cluster in the bucket. */
export interface ClusterEntry {
  identity: ArchiveIdentity;
  state: ClusterState;
  /** Undefined when the cluster's Kafka never was ready, or the document is damaged. */
  opened: Opened | undefined;
  /** As it stands in the bucket; with `damaged` it may be undefined or wrong. */
  manifest: Manifest | undefined;
  pruned: Pruned | undefined;
  /** Somebody allowed the removal of the cluster unsealed. */
  override: z.infer<typeof overrideSchema> | undefined;
  /** What is wrong, one sentence each; empty when nothing is. */
  problems: string[];
}

/** Which clusters to list. */
export interface ClusterFilter {
  /** Default: all stacks. */
  stack?: string;
  /** First and last business date, both inclusive, `2025-10-14`. Default: all. */
  from?: string;
  to?: string;
  clusterId?: string;
}

/** Clusters looked at side by side: each is a few small documents. */
const concurrency = 8;

/**
 * The clusters in the bucket, by stack, business date and time of opening.
 * @throws ArchiveStoreError when the bucket cannot be used; a damaged cluster is an entry that says so.
 */
export async function listClusters(store: ArchiveStore, filter: ClusterFilter = {}): Promise<ClusterEntry[]> {
  const identities = await listIdentities(store, filter);
  const entries = await mapConcurrently(identities, concurrency, (identity) =>
    readEntry(new ClusterArchive(store, identity)),
  );
  const order = ({ identity, opened }: ClusterEntry): string =>
    [identity.stack, identity.businessDate, opened?.openedAt ?? "", identity.clusterId].join("/");
  return entries.sort((a, b) => (order(a) < order(b) ? -1 : 1));
}

async function listIdentities(store: ArchiveStore, filter: ClusterFilter): Promise<ArchiveIdentity[]> {
  const stacks = filter.stack === undefined ? await store.folders("") : [`${filter.stack}/`];
  const dates = (await mapConcurrently(stacks, concurrency, (stack) => store.folders(stack)))
    .flat()
    .filter((folder) => isWantedDate(lastPart(folder), filter));
  const clusters = (await mapConcurrently(dates, concurrency, (date) => store.folders(date))).flat();
  return clusters
    .map((folder) => {
      const [stack = "", businessDate = "", clusterId = ""] = folder.split("/");
      return { stack, businessDate, clusterId };
    })
    .filter(({ clusterId }) => filter.clusterId === undefined || clusterId === filter.clusterId);
}

const lastPart = (folder: string): string => folder.split("/").at(-2) ?? "";

function isWantedDate(date: string, { from = "", to = "9999-12-31" }: ClusterFilter): boolean {
  return /^\d{4}-\d\d-\d\d$/.test(date) && date >= from && date <= to;
}

/** One cluster as its documents tell. @throws ArchiveStoreError */
export async function readEntry(archive: ClusterArchive): Promise<ClusterEntry> {
  const problems: string[] = [];
  const read = async <T>(name: string, schema: z.ZodType<T>): Promise<T | undefined> => {
    try {
      return await archive.read(name, schema);
    } catch (error) {
      if (!(error instanceof ArchiveDocumentError)) throw error;
      problems.push(error.message);
      return undefined;
    }
  };
  const [opened, manifest, pruned, override] = await Promise.all([
    read(documents.opened, openedSchema),
    read(documents.manifest, manifestSchema),
    read(documents.pruned, prunedSchema),
    read(documents.dataLossOverride, overrideSchema),
  ]);
  problems.push(...contradictions(archive.identity, { opened, manifest, pruned }));
  const losses = manifest?.losses ?? [];
  if (manifest !== undefined) {
    const found = manifestProblems(archive.identity, manifest);
    problems.push(...found.filter((problem) => !losses.includes(problem)));
  }
  const isDamaged = problems.length > 0;
  problems.push(...losses);
  const state = pruned?.finishedAt
    ? "pruned"
    : pruned !== undefined
      ? "pruning"
      : isDamaged
        ? "damaged"
        : manifest === undefined || losses.length > 0
          ? "unsealed"
          : "sealed";
  return { identity: archive.identity, state, opened, manifest, pruned, override, problems };
}

function contradictions(
  identity: ArchiveIdentity,
  { opened, manifest, pruned }: Pick<ClusterEntry, "opened" | "manifest" | "pruned">,
): string[] {
  const problems: string[] = [];
  for (const [name, document] of Object.entries({ opened, pruned })) {
    for (const field of ["stack", "businessDate", "clusterId"] as const) {
      if (document === undefined || document[field] === identity[field]) continue;
      problems.push(
        `${name}.json is of another cluster: ${field} is ${document[field]}, not ${identity[field]}`,
      );
    }
  }
  if (opened !== undefined && manifest !== undefined && opened.kafkaClusterId !== manifest.kafkaClusterId) {
    problems.push(`the manifest is of Kafka ${manifest.kafkaClusterId}, opened was ${opened.kafkaClusterId}`);
  }
  return problems;
}
