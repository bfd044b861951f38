/** The JSON documents beside the archived topics: markers, the seal's request and progress, the manifest. */
import { createHash } from "node:crypto";
import { z } from "zod";
import { accountComparison } from "../bus/control.ts";
import { calendarDate } from "../core/config.ts";
import { instantString } from "../core/time.ts";

const identityShape = { stack: z.string().min(1), businessDate: calendarDate, clusterId: z.string().min(1) };
const offset = z.string().regex(/^\d{1,19}$/, "expected an offset in decimal digits");
const sha256 = z.string().regex(/^[0-9a-f]{64}$/, "expected 64 hexadecimal digits");
const count = z.int().min(0);

/** `opened.json`: the cluster's Kafka was ready and may hold data from then on. */
export const openedSchema = z.object({
  ...identityShape,
  /** Kafka's own id: another than `clusterId` where the operator invents it. */
  kafkaClusterId: z.string().min(1),
  openedAt: instantString,
});
export type Opened = z.infer<typeof openedSchema>;

/** `seal-request.json`: somebody wants the archive sealed. A new request has a new id. */
export const sealRequestSchema = z.object({ requestId: z.string().min(1), requestedAt: instantString });
export type SealRequest = z.infer<typeof sealRequestSchema>;

/**
 * What the archiver does for a request, in this order: the services stop, the topics are exported to their ends, evidence
 * of the day is collected, what is in the bucket is looked at, the manifest is written. Steps may be done again.
 */
export const sealStates = [
  "draining",
  "exporting",
  "collecting",
  "verifying",
  "writing",
  "sealed",
  "failed",
] as const;

/** `seal-progress.json`: how far the archiver is with a request. Written again at least every few seconds. */
export const sealProgressSchema = z.object({
  requestId: z.string().min(1),
  state: z.enum(sealStates),
  /** One sentence for people; for `failed`, what is missing and what to do. */
  message: z.string(),
  /** How much of the state's work is done, where that is known. */
  percent: z.number().min(0).max(100).optional(),
  /** Numbers behind the message, by what they count: `records`, `objects`, `services` … */
  counts: z.record(z.string(), count).optional(),
  updatedAt: instantString,
  /** With `sealed`: which manifest answers the request. */
  generation: z.int().min(1).optional(),
  manifestChecksum: sha256.optional(),
});
export type SealProgress = z.infer<typeof sealProgressSchema>;

/**
 * `trading-ready.json`: whether the cluster can trade, as far as the control topic tells. Requests cannot reach the cluster
 * from everywhere, so what its monitor says is put where everybody who may know can read it. Written at each change.
 */
export const tradingReadySchema = z.object({
  ...identityShape,
  /** Whether canaries come through every path of the pipeline. */
  ready: z.boolean(),
  /** When that began, the last time; null when it never was. */
  readyAt: instantString.nullable(),
  /** What keeps it from being ready, one thing each; empty when it is, or when nobody has said anything yet. */
  missing: z.array(z.string()),
  /** Canaries that had come through when it became ready. */
  canaries: count,
  /** What the comparison of our books with each venue's account came to; null while that is not known. */
  accounts: z.array(accountComparison).nullable(),
  /** Kill switches that are engaged; a mismatch of the account engages one. */
  stopped: z.array(
    z.object({
      /** A venue, or `*` for all. */
      scope: z.string().min(1),
      reason: z.string(),
      by: z.string(),
      at: instantString,
    }),
  ),
  /**
   * By how many milliseconds the archiver's clock is ahead of the bucket's (negative: behind), as far as that is certain;
   * null when it could not be measured.
   */
  clockSkewMs: z.number().nullable(),
  updatedAt: instantString,
});
export type TradingReady = z.infer<typeof tradingReadySchema>;

/** Something in the bucket, as stored (compressed): what a listing and a reading of it must show. */
const storedFile = z.object({
  /** Relative to the archive's prefix. */
  name: z.string().min(1),
  bytes: count,
  sha256,
  /** As the bucket lists it, without quotation marks. */
  etag: z.string().min(1),
});

const manifestObject = storedFile.extend({
  records: count,
  /** State of the partition's chain behind its last record, see record-hash.ts. */
  recordsSha256: sha256,
  /** Offsets of its first and last record; null without records: then it covers transaction markers only. */
  firstOffset: offset.nullable(),
  lastOffset: offset.nullable(),
});
export type ManifestObject = z.infer<typeof manifestObject>;

const manifestPartition = z.object({
  partition: z.int().min(0),
  /** First offset that the archive covers: 0 unless records were deleted before they were archived. */
  start: offset,
  /** The partition's end (offset of the next record) that the archive reaches. */
  logEnd: offset,
  /** Offsets of the first and last record; null without records. */
  firstOffset: offset.nullable(),
  lastOffset: offset.nullable(),
  records: count,
  /** State of the chain behind its last record, whatever objects the records are in. */
  recordsSha256: sha256,
  objects: z.array(manifestObject),
});
export type ManifestPartition = z.infer<typeof manifestPartition>;

const manifestTopic = z.object({
  topic: z.string().min(1),
  /** The topic's configuration where it is not the broker's default. */
  configuration: z.record(z.string(), z.string()),
  /** Set when the topic was deleted during the day; what had been archived of it stays listed. */
  deleted: z.boolean(),
  partitions: z.array(manifestPartition),
});
export type ManifestTopic = z.infer<typeof manifestTopic>;

/** `manifest.json`: what the sealed archive holds. */
export const manifestSchema = z.object({
  format: z.literal(2),
  ...identityShape,
  kafkaClusterId: z.string().min(1),
  /** 1 for the first seal; one more each time the cluster changed after a seal and was sealed again. */
  generation: z.int().min(1),
  /** The request that made this generation; later requests that found nothing changed are only in the progress. */
  requestId: z.string().min(1),
  sealedAt: instantString,
  versions: z.record(z.string(), z.string()),
  topics: z.array(manifestTopic),
  /** Committed offsets of the consumer groups. */
  groups: z.array(
    z.object({
      group: z.string(),
      offsets: z.array(z.object({ topic: z.string(), partition: z.int().min(0), offset })),
    }),
  ),
  totals: z.object({ topics: count, partitions: count, objects: count, records: count, bytes: count }),
  /** Files about the day beside the topics: logs, events, metrics. */
  evidence: z.array(storedFile),
  /** Commands that the next cluster takes over; null when there are none. */
  carryOver: z.object({ name: z.literal("carry-over.json"), sha256, commands: count }).nullable(),
  /** What was lost before it could be archived. A seal with an entry here does not count as one. */
  losses: z.array(z.string()),
  /** SHA-256 of {@link canonicalJson} of all other fields. */
  checksum: sha256,
});
export type Manifest = z.infer<typeof manifestSchema>;
export type ManifestEvidence = Manifest["evidence"][number];
export type ManifestCarryOver = NonNullable<Manifest["carryOver"]>;

/** `data-loss-override.json`: somebody allowed the removal of a cluster that is not sealed. For people to read. */
export interface DataLossOverride {
  stack: string;
  clusterId: string;
  /** RFC 3339. */
  overriddenAt: string;
  /** User and host name of the machine it was said on. */
  by: string;
  /** The manifest that was there, and what a fast verification found wrong with it; null when there was none that can be read. */
  manifest: { generation: number; sealedAt: string; checksum: string; problems: string[] } | null;
}

/** JSON with object keys sorted and without blanks: the same for the same content. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) =>
    part !== null && typeof part === "object" && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)))
      : part,
  );
}

/** The checksum a manifest must have. */
export function manifestChecksum(manifest: Omit<Manifest, "checksum">): string {
  const { checksum: _checksum, ...rest } = manifest as Manifest;
  return createHash("sha256").update(canonicalJson(rest)).digest("hex");
}
