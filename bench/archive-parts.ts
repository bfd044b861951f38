/** What the measurements of the archive share: how much, with what, and what they find. */
import type { LabObjectStore } from "../lab/objectstore/index.ts";
import type { ClusterArchive } from "../services/archive/index.ts";
import type { Kcat, NoKcat } from "./kcat.ts";
import { median, spread } from "./statistics.ts";
import type { Target } from "./targets.ts";
import type { BenchWorld } from "./world.ts";

/** How much is measured. */
export interface ArchiveAmounts {
  rounds: number;
  /** Records of export and restore. */
  records: number;
  /** Records of the days that are archived while they go on; ascending. */
  days: readonly number[];
  /** Records a second of those days. */
  rate: number;
}

/** The size of a full run, and of one that only shows that everything works. */
export const archiveAmounts = {
  full: { rounds: 5, records: 1_000_000, days: [200_000, 1_000_000], rate: 20_000 },
  quick: { rounds: 1, records: 100_000, days: [20_000, 100_000], rate: 10_000 },
} as const satisfies Record<string, ArchiveAmounts>;

/** Given to each measurement. */
export interface ArchiveParts {
  world: BenchWorld;
  store: LabObjectStore;
  size: ArchiveAmounts;
  kcat: Kcat | NoKcat;
  /** Makes the archive of a cluster of its own and says that the cluster may hold data, as prepare-day would. */
  openDay(): Promise<ClusterArchive>;
  /** Told what was measured, one short line at a time. */
  onProgress: (line: string) => void;
}

/** Environment of a process that works with an archive. */
export function archiveVariables(
  store: LabObjectStore,
  { identity }: ClusterArchive,
): Record<string, string> {
  return {
    STACK: identity.stack,
    BUSINESS_DATE: identity.businessDate,
    CLUSTER_ID: identity.clusterId,
    S3_ENDPOINT: store.endpoint,
    S3_REGION: store.region,
    S3_BUCKET: store.bucket,
    S3_ACCESS_KEY_ID: store.accessKeyId,
    S3_SECRET_ACCESS_KEY: store.secretAccessKey,
  };
}

/** Records a second of ours and of another program. */
export interface ArchiveComparison {
  name: string;
  /** The other program. */
  reference: string;
  target: Target | undefined;
  /** Medians of the rounds; `theirs`, `ratio` and `ratioSpread` are NaN when the other program cannot be had. */
  ours: number;
  theirs: number;
  /** Median of the rounds' own ratios: each pair met the same load. */
  ratio: number;
  /** (largest − smallest ratio) / median. */
  ratioSpread: number;
  /** Why the other program cannot be had, and what to do. */
  missing: string | undefined;
  /** Every round's figures. */
  rounds: readonly { ours: number; theirs: number }[];
}

/** Puts the rounds of a pair together. @param theirs undefined: the other program is missing. */
export function compareRates(
  pair: Pick<ArchiveComparison, "name" | "reference" | "target" | "missing">,
  ours: readonly number[],
  theirs: readonly number[] | undefined,
): ArchiveComparison {
  const rounds = ours.map((own, round) => ({ ours: own, theirs: theirs?.[round] ?? Number.NaN }));
  const ratios = rounds.map((round) => round.ours / round.theirs);
  return {
    ...pair,
    ours: median(ours),
    theirs: median(rounds.map((round) => round.theirs)),
    ratio: median(ratios),
    ratioSpread: spread(ratios),
    rounds,
  };
}

/** What the archiver process used from its start to the seal. */
export interface ArchiverUse {
  /** Seconds of one core. */
  cpuSeconds: number;
  peakRssMiB: number;
}

/** The seal of a day that was archived while it went on. */
export interface SealTime extends ArchiverUse {
  records: number;
  /** From the request, right after the last record was acknowledged, to "sealed". */
  seconds: number;
  /** Records that the archiver had not read yet when the seal was requested, as far as it knew. */
  unread: number;
}

/** Everything that was found. */
export interface ArchiveResult {
  records: number;
  /** Size of each record's value. */
  recordBytes: number;
  /** Which kcat; undefined without. */
  kcat: string | undefined;
  comparisons: ArchiveComparison[];
  /** One for each round of the export. */
  exports: ArchiverUse[];
  /** Of the restoring process. */
  restorePeakRssMiB: number;
  /** Records a second of the days. */
  rate: number;
  seals: SealTime[];
}
