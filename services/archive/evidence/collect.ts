/**
 * Evidence of the day: what a person who looks at the archive later may want to know beside the records. It is not data,
 * so a source that cannot be had does not keep the cluster from being sealed: the index says what is missing and why.
 */
import type { Logger } from "../../core/log.ts";
import { toInstant } from "../../core/time.ts";
import type { ClusterArchive } from "../cluster-archive.ts";
import { type ManifestEvidence, openedSchema } from "../documents.ts";
import { documents } from "../layout.ts";
import { ArchiveStoreError } from "../store.ts";
import { EvidenceOutput } from "./output.ts";

/** The time that evidence is about. */
export interface EvidencePeriod {
  /** When the cluster was opened, milliseconds since the epoch. */
  from: number;
  to: number;
}

/** Where evidence comes from. */
export interface EvidenceSource {
  /** Also its folder. */
  readonly name: string;
  /**
   * Writes files; notes what is missing. What it throws is noted as missing, but for the bucket's errors.
   * @param signal aborted when it has taken too long.
   */
  collect(output: EvidenceOutput, period: EvidencePeriod, signal: AbortSignal): Promise<void>;
}

/** `index.json` in the folder of a generation's evidence. */
export interface EvidenceIndex {
  generation: number;
  /** RFC 3339. */
  from: string;
  to: string;
  sources: {
    name: string;
    /** `missing`: there is nothing of it. */
    state: "complete" | "incomplete" | "missing";
    files: number;
    /** What could not be had, and why. */
    problems: string[];
  }[];
}

/** Arguments of {@link collectEvidence}. */
export interface CollectEvidenceOptions {
  archive: ClusterArchive;
  sources: readonly EvidenceSource[];
  /** Longest time, in milliseconds; what has come until then is kept. */
  timeoutMs: number;
  logger: Logger;
  signal: AbortSignal;
  onProgress: (message: string) => void;
  generation: number;
}

/** Problems of one source listed one by one; the rest is counted. */
const maximumProblems = 100;

/**
 * Collects from all sources at the same time.
 * @returns everything that was stored, the index included, by name; nothing when there are no sources.
 * @throws ArchiveStoreError; the signal's reason.
 */
export async function collectEvidence(options: CollectEvidenceOptions): Promise<ManifestEvidence[]> {
  const { archive, sources, timeoutMs, logger, signal, onProgress, generation } = options;
  if (sources.length === 0) return [];
  const folder = `evidence/${generation}/`;
  const opened = await archive.read(documents.opened, openedSchema);
  const to = Date.now();
  const period = { from: opened === undefined ? to : Date.parse(opened.openedAt), to };
  const waiting = new Set(sources.map(({ name }) => name));
  const tell = (): void => onProgress(`collecting evidence: ${[...waiting].join(", ")}`);
  tell();
  const collected = await Promise.all(
    sources.map(async (source) => {
      const { name } = source;
      const output = new EvidenceOutput(archive, `${folder}${name}/`);
      const late = AbortSignal.timeout(timeoutMs);
      try {
        await source.collect(output, period, AbortSignal.any([signal, late]));
      } catch (error) {
        signal.throwIfAborted();
        if (error instanceof ArchiveStoreError) throw error;
        output.missing(late.aborted ? `not done within ${timeoutMs / 1_000} s` : (error as Error).message);
      }
      waiting.delete(name);
      if (waiting.size > 0) tell();
      for (const problem of output.problems) logger.error({ source: name, problem }, "evidence is missing");
      return { name, output };
    }),
  );
  const index: EvidenceIndex = {
    generation,
    from: toInstant(period.from),
    to: toInstant(period.to),
    sources: collected.map(({ name, output: { files, problems } }) => ({
      name,
      state: problems.length === 0 ? "complete" : files.length === 0 ? "missing" : "incomplete",
      files: files.length,
      problems: [
        ...problems.slice(0, maximumProblems),
        ...(problems.length > maximumProblems ? [`and ${problems.length - maximumProblems} more`] : []),
      ],
    })),
  };
  const output = new EvidenceOutput(archive, folder);
  await output.store("index.json", `${JSON.stringify(index, null, 2)}\n`, "application/json");
  const all = [...output.files, ...collected.flatMap(({ output: { files } }) => files)];
  return all.sort((a, b) => (a.name < b.name ? -1 : 1));
}
