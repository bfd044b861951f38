/** Names in the archive bucket. Everything of one cluster is below `<stack>/<business-date>/<cluster-id>/`. */

/** Whose archive it is. */
export interface ArchiveIdentity {
  /** `dev` or `prod`. */
  stack: string;
  /** New York date of the cluster's first start, `2025-10-14`. */
  businessDate: string;
  /** 22 characters, unique to this cluster: another cluster on the same day never touches these objects. */
  clusterId: string;
}

/** The prefix of a cluster's archive, with the slash at its end. */
export function archivePrefix(identity: ArchiveIdentity): string {
  return `${identity.stack}/${identity.businessDate}/${identity.clusterId}/`;
}

/** Objects beside the topics, by what they hold. Names are relative to the prefix. */
export const documents = {
  opened: "opened.json",
  ready: "trading-ready.json",
  sealRequest: "seal-request.json",
  sealProgress: "seal-progress.json",
  manifest: "manifest.json",
  dataLossOverride: "data-loss-override.json",
  carryOver: "carry-over.json",
  pruned: "pruned.json",
} as const;

/**
 * Folder of what a stack's clusters cost, one document a cluster. It lies beside the days and not in a cluster's prefix: a
 * cluster that never was opened costs money too, and what was paid stays known when an archive is pruned.
 */
export function costFolder(stack: string): string {
  return `${stack}/costs/`;
}

/** The key of such a document. */
export function costKey({ stack, businessDate, clusterId }: ArchiveIdentity): string {
  return `${costFolder(stack)}${businessDate}_${clusterId}.json`;
}

/** Reads such a key back; undefined when it is none. */
export function parseCostKey(key: string): ArchiveIdentity | undefined {
  const match = /^([^/]+)\/costs\/(\d{4}-\d\d-\d\d)_([^/]+)\.json$/.exec(key);
  if (match === null) return undefined;
  const [, stack = "", businessDate = "", clusterId = ""] = match;
  return { stack, businessDate, clusterId };
}

/** Folder of the manifests of all generations; `manifest.json` equals the one that counts. */
export const manifestHistory = "manifests/";

/** The name of one generation's manifest, relative to the prefix; it is never written over. */
export function manifestName(generation: number): string {
  return `${manifestHistory}${generation}.json`;
}

/** Reads such a name back; undefined when it is none. */
export function parseManifestName(name: string): number | undefined {
  const match = /^manifests\/([1-9]\d{0,8})\.json$/.exec(name);
  return match === null ? undefined : Number(match[1]);
}

/**
 * The offsets that one object covers, both inclusive. The objects of a partition follow each other without a gap: an
 * offset inside the range that has no record was a transaction marker or part of an aborted transaction.
 */
export interface OffsetRange {
  topic: string;
  partition: number;
  first: bigint;
  last: bigint;
}

/** How objects are compressed. */
export const codecs = ["gzip", "zstd"] as const;
export type Codec = (typeof codecs)[number];
const suffixes: Readonly<Record<Codec, string>> = { gzip: "gz", zstd: "zst" };

/** The name of an object with records, relative to the prefix; offsets have 20 digits, so names sort as offsets do. */
export function objectName(range: OffsetRange, codec: Codec): string {
  const digits = (offset: bigint): string => offset.toString().padStart(20, "0");
  return `${range.topic}/${range.partition}/${digits(range.first)}-${digits(range.last)}.ndjson.${suffixes[codec]}`;
}

/** Reads such a name back; undefined when it is none (a marker, or not ours). */
export function parseObjectName(name: string): OffsetRange | undefined {
  const match = /^([a-zA-Z0-9._-]+)\/(\d{1,9})\/(\d{20})-(\d{20})\.ndjson\.(?:gz|zst)$/.exec(name);
  if (match === null) return undefined;
  const [, topic = "", partition = "", first = "", last = ""] = match;
  const range = { topic, partition: Number(partition), first: BigInt(first), last: BigInt(last) };
  return range.first <= range.last ? range : undefined;
}

/** How an object of that name is compressed. */
export function codecOf(name: string): Codec {
  return name.endsWith(`.${suffixes.zstd}`) ? "zstd" : "gzip";
}
