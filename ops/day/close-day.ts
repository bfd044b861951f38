/**
 * `trading close`: the end of the day. Around closeCluster: when to begin, what the day was and cost, and telling people. It
 * may be killed anywhere and run again, on another machine than the one that opened.
 */
import { ArchiveDocumentError, ClusterArchive } from "../../services/archive/cluster-archive.ts";
import { manifestSchema } from "../../services/archive/documents.ts";
import { documents } from "../../services/archive/layout.ts";
import { ArchiveStoreError } from "../../services/archive/store.ts";
import type { Calendar } from "../calendar/calendar.ts";
import type { TradingDay } from "../calendar/trading-day.ts";
import { closeCluster, type CloseResult } from "../cluster/close.ts";
import { describeResource, findLabelled, type LabelledResource, priceOf } from "../cluster/labelled.ts";
import type { ClusterParts } from "../cluster/parts.ts";
import { inTurn } from "../cluster/turn.ts";
import { recordCost } from "../cost/record.ts";
import type { Notifier } from "../notify/notifier.ts";
import { RefusedError } from "../run.ts";
import { withCutOffTold } from "./cut-off.ts";
import { describeTradingDay } from "./trading-hours.ts";
import { type ClusterCost, costOfClusters } from "./day-cost.ts";
import { recordedEngine, type Timeline } from "./timeline.ts";
import { inWords, type Pause, realPause, waitUntil } from "./waiting.ts";

/** How a day is closed. */
export interface CloseDayOptions {
  notifier: Notifier;
  /**
   * Run by a machine: waits for the closing time of the running day; without one, only what has outlived its `expires-at` is
   * closed. Default: false, at once.
   */
  scheduled?: boolean;
  /** Asked when `scheduled`, unless `tradingDay` is given. */
  calendar?: Pick<Calendar, "dayAt">;
  /** The day to close, when it is known already. */
  tradingDay?: TradingDay;
  /**
   * Asked when it is this run's turn, since others may have been at work before: a word why nothing is to be closed any more.
   * Default: for a scheduled close, whether what is there has its time yet; otherwise everything is closed.
   */
  stillDue?: () => Promise<string | undefined>;
  /** Longest time before `closesAt`, in milliseconds, that is waited for; before that it ends with a word. Default: 4 h. */
  mostWaitMs?: number;
  /** Default: the machine's own time. */
  pause?: Pause;
  /** Is told what is done to which resource. */
  timeline?: Timeline;
}

/** What the archive holds of a cluster. */
export interface ArchivedCluster {
  /** `<stack>/<business-date>/<cluster-id>` */
  cluster: string;
  sealedAt: string;
  generation: number;
  totals: { topics: number; partitions: number; objects: number; records: number; bytes: number };
  /** Records by topic. */
  topics: { topic: string; records: number }[];
}

/** What closing a day came to, when it did not fail. */
export interface CloseDayResult {
  /** The last two: nothing was done, and nothing was to be done. */
  outcome: "closed" | "nothing-open" | "too-early" | "not-due";
  /** For people: one sentence. */
  word: string;
  stack: string;
  tradingDay: TradingDay | null;
  /** Null when nothing was done. */
  closed: CloseResult | null;
  /** Of every cluster that was removed and has a manifest. */
  archived: ArchivedCluster[];
  /** What those clusters cost from their first server on; empty where nobody wrote it down. */
  cost: ClusterCost[];
}

const hourMs = 3_600_000;
const defaultMostWaitMs = 4 * hourMs;

/**
 * Closes the day.
 * @throws what closeCluster throws; people are told of it, of an interruption when it is scheduled.
 */
export async function closeDay(parts: ClusterParts, options: CloseDayOptions): Promise<CloseDayResult> {
  const { timeline, notifier } = options;
  const recorded =
    timeline === undefined ? parts : { ...parts, engine: recordedEngine(parts.engine, timeline) };
  try {
    const work = () => close(recorded, options);
    const result = await (options.scheduled === true
      ? withCutOffTold(parts, notifier, "close", work)
      : work());
    const { outcome } = result;
    if (outcome === "closed" || outcome === "nothing-open") await notifier.beat("close");
    return result;
  } catch (error) {
    if (!parts.signal.aborted) await tellFailure(parts, options, error);
    throw error;
  }
}

async function close(parts: ClusterParts, options: CloseDayOptions): Promise<CloseDayResult> {
  const { stack, now, reporter } = parts;
  const { notifier, pause = realPause, mostWaitMs = defaultMostWaitMs } = options;
  const day = await dayOf(parts, options);
  /** A person may have opened the stack outside of its hours. */
  const notDueNow = async (): Promise<string | undefined> =>
    options.scheduled === true && (day === undefined || now() > day.closesAt)
      ? notDue(parts, day)
      : undefined;
  const early = await notDueNow();
  if (early !== undefined) return { ...nothing(stack, day), outcome: "not-due", word: early };
  if (day !== undefined) {
    const left = day.closesAt.getTime() - now().getTime();
    if (left > mostWaitMs) {
      const word = `too early to close ${describeTradingDay(day)}: that is in ${inWords(left)}`;
      return { ...nothing(stack, day), outcome: "too-early", word };
    }
    await waitUntil(parts, day.closesAt, `the time to close ${day.date}`, pause);
    reporter.note(`closing trading day ${describeTradingDay(day)}`);
  }
  const { stillDue = notDueNow } = options;
  const closed = await inTurn(parts, async (held) => {
    const word = await stillDue();
    if (word !== undefined) return word;
    const there = await recordCost(held);
    // What a close that failed has removed costs no more either.
    return closeCluster(held).finally(() => recordCost(parts, there));
  });
  if (typeof closed === "string") return { ...nothing(stack, day), outcome: "not-due", word: closed };
  const names = [
    ...(closed.destroyed === null ? [] : [closed.destroyed]),
    ...closed.cleared.map(({ cluster }) => cluster),
  ];
  if (names.length === 0) {
    const word = `nothing was open: nothing of stack ${stack} is at Hetzner`;
    return { ...nothing(stack, day), outcome: "nothing-open", word, closed };
  }
  // It is closed, whether or not the bucket can be read now.
  const unread = (error: unknown): [] => {
    if (!(error instanceof ArchiveStoreError || error instanceof ArchiveDocumentError)) throw error;
    reporter.note(`warning: what was archived and what it cost could not be read: ${error.message}`);
    return [];
  };
  const archived = await archivedOf(parts, names).catch(unread);
  const cost = await costOfClusters(parts, names).catch(unread);
  const records = archived.reduce((sum, { totals }) => sum + totals.records, 0);
  const word = `closed: ${[...new Set(names)].join(", ")}; ${records} records archived, nothing of stack ${stack} is left at Hetzner`;
  await notifier.tell({
    kind: "closed",
    stack,
    cluster: names[0] ?? null,
    text: word,
    at: now().toISOString(),
  });
  return { outcome: "closed", word, stack, tradingDay: day ?? null, closed, archived, cost };
}

/** Undefined: at once. */
async function dayOf({ now }: ClusterParts, options: CloseDayOptions): Promise<TradingDay | undefined> {
  const { scheduled = false, calendar, tradingDay } = options;
  return scheduled ? (tradingDay ?? (await calendar?.dayAt(now()))) : tradingDay;
}

/**
 * Outside of the stack's hours a person may have opened it: what is there stays until the end that it was given. While a day is
 * being closed that is only what was created after its end.
 * @returns undefined when that has come, or nothing is there
 */
async function notDue(
  { client, stack, now }: ClusterParts,
  day: TradingDay | undefined,
): Promise<string | undefined> {
  const there = await findLabelled(client, stack);
  if (day !== undefined && there.some(({ created }) => new Date(created) <= day.closesAt)) return undefined;
  const ends = there
    .map(({ labels }) => Number(labels["expires-at"]) * 1_000)
    .filter((end) => end > now().getTime());
  if (ends.length === 0) return undefined;
  const end = new Date(Math.max(...ends)).toISOString();
  return `no trading day is open, and what is there of stack ${stack} has time until ${end}: it was opened by hand`;
}

function nothing(stack: string, day: TradingDay | undefined): Omit<CloseDayResult, "outcome" | "word"> {
  return { stack, tradingDay: day ?? null, closed: null, archived: [], cost: [] };
}

/** What the manifests say; a cluster that never held data has none. @throws ArchiveStoreError, ArchiveDocumentError */
async function archivedOf(
  { archiveStore }: ClusterParts,
  names: readonly string[],
): Promise<ArchivedCluster[]> {
  const archived: ArchivedCluster[] = [];
  for (const cluster of new Set(names)) {
    const [stack, businessDate, clusterId] = cluster.split("/");
    if (stack === undefined || businessDate === undefined || clusterId === undefined) continue;
    const archive = new ClusterArchive(archiveStore, { stack, businessDate, clusterId });
    const manifest = await archive.read(documents.manifest, manifestSchema);
    if (manifest === undefined) continue;
    const { sealedAt, generation, totals } = manifest;
    const topics = manifest.topics.map(({ topic, partitions }) => ({
      topic,
      records: partitions.reduce((sum, { records }) => sum + records, 0),
    }));
    archived.push({ cluster, sealedAt, generation, totals, topics });
  }
  return archived;
}

/** Whether the deadline of something that is there has passed. */
function isOverdue({ config, now }: ClusterParts, there: readonly LabelledResource[]): boolean {
  const graceMs = (config.schedule?.deadlineMinutes ?? 0) * 60_000;
  return there.some(({ labels }) => Number(labels["expires-at"]) * 1_000 + graceMs < now().getTime());
}

/** Never rejects: the failure itself is what the caller has to hear of. */
async function tellFailure(
  parts: ClusterParts,
  { notifier }: CloseDayOptions,
  error: unknown,
): Promise<void> {
  const { stack, now, client } = parts;
  const left = await findLabelled(client, stack).catch(() => []);
  const price = await priceOf(client, left).catch(() => undefined);
  const servers = left.filter(({ kind }) => kind === "servers").map(describeResource);
  await notifier.tell({
    kind: error instanceof RefusedError && isOverdue(parts, left) ? "unsealed" : "failed",
    stack,
    cluster: null,
    text:
      `close failed: ${error instanceof Error ? error.message : String(error)}` +
      (servers.length === 0 ? "" : `\nStill there: ${servers.join(", ")}`),
    at: now().toISOString(),
    pricePerHour: price?.total ?? null,
  });
  await notifier.beat("close", "fail");
}
