/** The pods' logs of a sealed day: evidence beside the topics in the archive bucket. */
import { createHash } from "node:crypto";
import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import { type ClusterEntry, listClusters } from "../../services/archive/catalogue.ts";
import { ClusterArchive } from "../../services/archive/cluster-archive.ts";
import type { ManifestEvidence } from "../../services/archive/documents.ts";
import type { ArchiveStore } from "../../services/archive/store.ts";
import { clusterPath } from "../archive/select.ts";
import { UsageError } from "../run.ts";
import { serviceOf } from "./services.ts";

/** A stored log is not what the manifest says. */
export class EvidenceError extends Error {
  override readonly name = "EvidenceError";
}

/** A piece of one container's log. */
export interface LogPiece extends ManifestEvidence {
  /** As kubectl writes it before each line: `pod/<pod>/<container>`; in the lab, whose pods are processes, `pod/<pod>`. */
  source: string;
  pod: string;
}

const decompress = promisify(gunzip);

/** The pieces of a manifest's logs, each container's in order: its life before this one first. */
export function logPieces(evidence: readonly ManifestEvidence[], service: string | undefined): LogPiece[] {
  const pieces = evidence.flatMap((file) => {
    const place = placeOf(file.name);
    if (place === undefined || (service !== undefined && serviceOf(place.pod) !== service)) return [];
    return [{ ...file, ...place }];
  });
  return pieces
    .sort((a, b) => compare(a.source, b.source) || a.life - b.life || a.part - b.part)
    .map(({ life: _life, part: _part, ...piece }) => piece);
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** Names as services/archive/evidence gives them. */
function placeOf(name: string) {
  const file =
    /^evidence\/\d+\/(?:kubernetes\/[^/]+\/([^/]+)|logs)\/([^/]+?)(\.previous)?(?:\.part-(\d+))?\.log\.gz$/.exec(
      name,
    );
  if (file === null) return undefined;
  const [, pod, last = "", previous, part] = file;
  return {
    pod: pod ?? last,
    source: pod === undefined ? `pod/${last}` : `pod/${pod}/${last}`,
    life: previous === undefined ? 1 : 0,
    part: Number(part ?? 1),
  };
}

/** Which day is asked for; default: the last that was sealed. */
export interface WantedDay {
  date?: string | undefined;
  clusterId?: string | undefined;
}

/**
 * Finds the cluster, the newest first.
 * @throws UsageError when no cluster of the stack that is meant is sealed; ArchiveStoreError
 */
export async function findSealed(
  store: ArchiveStore,
  stack: string,
  { date, clusterId }: WantedDay,
): Promise<ClusterEntry & { manifest: NonNullable<ClusterEntry["manifest"]> }> {
  const last = (folder: string): string => folder.split("/").at(-2) ?? "";
  const days = date === undefined ? (await store.folders(`${stack}/`)).map(last) : [date];
  for (const day of days
    .filter((name) => /^\d{4}-\d\d-\d\d$/.test(name))
    .sort()
    .reverse()) {
    const wanted = { stack, from: day, to: day, ...(clusterId === undefined ? {} : { clusterId }) };
    for (const entry of (await listClusters(store, wanted)).reverse()) {
      const { manifest } = entry;
      if (manifest !== undefined) return { ...entry, manifest };
    }
  }
  const asked = [stack, date ?? "*", clusterId ?? "*"].join("/");
  throw new UsageError(
    `No cluster ${asked} is sealed in the bucket "${store.settings.bucket}", so no logs of it are archived. ` +
      "`trading archive list` shows what is there.",
  );
}

/**
 * Prints the logs of a sealed cluster, each line with its source before it.
 * @param sinceMs only lines of so long before the seal; a line without a time goes with the one before it
 * @returns how many pieces there were
 * @throws EvidenceError when a piece is missing or damaged; ArchiveStoreError
 */
export async function printArchivedLogs(
  store: ArchiveStore,
  {
    identity,
    manifest,
  }: Pick<ClusterEntry, "identity"> & { manifest: NonNullable<ClusterEntry["manifest"]> },
  options: {
    service: string | undefined;
    sinceMs: number | undefined;
    print: (text: string) => void;
    progress: (line: string) => void;
    signal: AbortSignal;
  },
): Promise<number> {
  const archive = new ClusterArchive(store, identity);
  const pieces = logPieces(manifest.evidence, options.service);
  const from = options.sinceMs === undefined ? undefined : Date.parse(manifest.sealedAt) - options.sinceMs;
  for (const [index, piece] of pieces.entries()) {
    options.signal.throwIfAborted();
    options.progress(`${clusterPath(identity)}: ${index} of ${pieces.length} pieces`);
    const lines = since(linesOf(await readPiece(archive, piece)), from);
    if (lines.length > 0) options.print(lines.map((line) => `[${piece.source}] ${line}`).join("\n"));
  }
  return pieces.length;
}

async function readPiece(archive: ClusterArchive, { name, sha256 }: LogPiece): Promise<string> {
  const stored = await archive.get(name);
  const where = `${archive.prefix}${name}`;
  if (stored === undefined) throw new EvidenceError(`${where} is in the manifest and not in the bucket.`);
  if (createHash("sha256").update(stored.body).digest("hex") !== sha256)
    throw new EvidenceError(`${where} is not what the manifest says: its SHA-256 differs.`);
  return (await decompress(stored.body)).toString("utf8");
}

function linesOf(text: string): string[] {
  const lines = text.split("\n");
  if (lines.at(-1) === "") lines.pop();
  return lines;
}

/** Kubernetes puts a time before each line; our services' own lines have a field with it. */
function timeOf(line: string): number {
  const text = /^(\d{4}-\d\d-\d\dT\S+) /.exec(line)?.[1] ?? /"time":"([^"]+)"/.exec(line)?.[1] ?? "";
  return Date.parse(text);
}

function since(lines: readonly string[], from: number | undefined): readonly string[] {
  if (from === undefined) return lines;
  let isWanted = false;
  return lines.filter((line) => {
    const time = timeOf(line);
    if (!Number.isNaN(time)) isWanted = time >= from;
    return isWanted;
  });
}
