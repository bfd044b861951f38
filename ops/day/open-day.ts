/**
 * `trading open`: the day's cluster, up and ready to trade. Around openCluster: when to begin, the cluster that is open
 * already, the wait for its canaries, the clocks, the positions, and telling people. It may be killed anywhere and run again.
 */
import type { TradingReady } from "../../services/archive/documents.ts";
import { newYorkDate } from "../../services/core/exchange-calendar.ts";
import type { Calendar } from "../calendar/calendar.ts";
import type { TradingDay } from "../calendar/trading-day.ts";
import { plusDays } from "../calendar/zoned-time.ts";
import { closeCluster, type CloseResult } from "../cluster/close.ts";
import { clusterName } from "../cluster/leftovers.ts";
import { findLabelled } from "../cluster/labelled.ts";
import { openCluster, type OpenResult } from "../cluster/open.ts";
import type { ClusterParts } from "../cluster/parts.ts";
import { inTurn } from "../cluster/turn.ts";
import { recordCost } from "../cost/record.ts";
import type { StackCluster } from "../engine/stack-engine.ts";
import type { Notifier } from "../notify/notifier.ts";
import {
  type ClockReading,
  type ClockSource,
  clockSources,
  clusterClockProblems,
  readClocks,
} from "./clocks.ts";
import { withCutOffTold } from "./cut-off.ts";
import { findClosedEarly, hadCluster } from "./day-clusters.ts";
import { describeTradingDay } from "./trading-hours.ts";
import { findOpenedCluster } from "./opened-cluster.ts";
import { compareOvernight } from "./overnight.ts";
import { judgePositions, type Positions } from "./positions.ts";
import { NotReadyError, readReadiness, waitForReady } from "./readiness.ts";
import { tellSessionDifference } from "./session-difference.ts";
import { recordedEngine, type Timeline } from "./timeline.ts";
import { inWords, type Pause, realPause, waitUntil } from "./waiting.ts";

/** How a day is opened. */
export interface OpenDayOptions {
  notifier: Notifier;
  /** Run by a machine: begins when the calendar says, and not on other days. Default: false, at once. */
  scheduled?: boolean;
  /** Asked when `scheduled`, unless `tradingDay` is given. */
  calendar?: Pick<Calendar, "dayAt" | "dayOf" | "nextDay" | "source">;
  /** The day to open, when it is known already. */
  tradingDay?: TradingDay;
  /** Longest time before `beginsAt`, in milliseconds, that is waited for; before that it ends with a word. Default: 4 h. */
  mostWaitMs?: number;
  /** See openCluster. Default: false. */
  keepFailed?: boolean;
  /** Whether to wait until the cluster can trade. Default: true. */
  waitReady?: boolean;
  /** Longest such wait once the cluster is up, in milliseconds. Default: 600,000. */
  readyTimeoutMs?: number;
  /** Clocks that this machine's is compared with. Default: Hetzner's API and the bucket's server. */
  clocks?: readonly ClockSource[];
  /** Default: the machine's own time. */
  pause?: Pause;
  /** Is told what is done to which resource. */
  timeline?: Timeline;
}

/** What opening a day came to, when it did not fail. */
export interface OpenDayResult {
  /**
   * From the third one on nothing was done. `closed-early`: a person has closed the day's cluster. `too-late`: the day is over, and
   * had a cluster; `missed`: it had none; `not-known`: the bucket could not tell. The last two are failures, and people were told.
   */
  outcome:
    | "opened"
    | "already-open"
    | "no-trading-day"
    | "closed-early"
    | "too-early"
    | "too-late"
    | "missed"
    | "not-known";
  /** For people: one sentence. */
  word: string;
  stack: string;
  tradingDay: TradingDay | null;
  cluster: StackCluster | null;
  /** EUR net per started hour; null when nothing bills or no price is named. */
  pricePerHour: string | null;
  /** What was done for it; null when nothing was. */
  opened: OpenResult | null;
  /** The cluster of another day that was closed first; null when there was none. */
  closedBefore: CloseResult | null;
  /** Null without a wait for it. */
  ready: TradingReady | null;
  clocks: ClockReading | null;
  positions: Positions | null;
}

const hourMs = 3_600_000;
const defaults = { mostWaitMs: 4 * hourMs, readyTimeoutMs: 600_000 };

/** What the dead-man's switch hears of as well done. */
const wellDone: readonly OpenDayResult["outcome"][] = [
  "opened",
  "already-open",
  "no-trading-day",
  "closed-early",
];

/**
 * Opens the day.
 * @throws NotReadyError when the cluster is up and cannot trade; what openCluster and closeCluster throw; TypeError when it
 *   is scheduled without a calendar. People are told of each; of an interruption when it is scheduled.
 */
export async function openDay(parts: ClusterParts, options: OpenDayOptions): Promise<OpenDayResult> {
  const { timeline, notifier } = options;
  const recorded =
    timeline === undefined ? parts : { ...parts, engine: recordedEngine(parts.engine, timeline) };
  try {
    const work = () => open(recorded, options);
    const result = await (options.scheduled === true
      ? withCutOffTold(parts, notifier, "open", work)
      : work());
    if (wellDone.includes(result.outcome)) await notifier.beat("open");
    return result;
  } catch (error) {
    if (!parts.signal.aborted) await tellFailure(parts, options, error);
    throw error;
  }
}

async function open(parts: ClusterParts, options: OpenDayOptions): Promise<OpenDayResult> {
  const { reporter, stack, now } = parts;
  const { notifier, pause = realPause } = options;
  if (options.scheduled === true && options.calendar !== undefined)
    await tellSessionDifference(parts, notifier, options.calendar.source);
  const day = await dayOf(parts, options);
  if (typeof day === "object" && "outcome" in day) return day;
  if (day !== undefined) {
    await waitUntil(parts, day.beginsAt, `the time to open ${day.date}`, pause);
    reporter.note(`trading day ${describeTradingDay(day)}`);
  }
  const begun = await inTurn(parts, (held) => bringAbout(held, options, day));
  if ("outcome" in begun) return begun;
  const { opened, closedBefore } = begun;
  const cluster = clusterOfResult(opened);
  const { ready, clocks, positions } = await checkReadiness(parts, options, cluster).catch(
    (error: unknown) => {
      if (!(error instanceof NotReadyError || parts.signal.aborted)) throw error;
      throw new NotReadyError(`${notReadyReason(error, stack, cluster)}\n${whatStays(stack, opened)}`, {
        cause: error,
      });
    },
  );
  const took = ready === undefined ? "" : ", ready to trade";
  const word = `open: ${clusterName(stack, { cluster })} with ${opened.choice}${took}`;
  await notifier.tell({
    kind: "opened",
    stack,
    cluster: clusterName(stack, { cluster }),
    text: [
      day === undefined ? word : `${word}; closes at ${day.closesAt.toISOString()}`,
      ...[...clocks.warnings, ...(positions?.warnings ?? [])].map((warning) => `Warning: ${warning}`),
    ].join("\n"),
    at: now().toISOString(),
    pricePerHour: opened.pricePerHour,
  });
  return {
    outcome: "opened",
    word,
    stack,
    tradingDay: day ?? null,
    cluster,
    pricePerHour: opened.pricePerHour,
    opened,
    closedBefore,
    ready: ready ?? null,
    clocks,
    positions,
  };
}

/**
 * Makes the cluster of the day the only one of the stack.
 * @returns the result where it was there already, or is not to be
 */
async function bringAbout(
  parts: ClusterParts,
  options: OpenDayOptions,
  day: TradingDay | undefined,
): Promise<OpenDayResult | { opened: OpenResult; closedBefore: CloseResult | null }> {
  const { stack } = parts;
  const { waitReady = true, scheduled = false } = options;
  // Another run may have had its turn for long.
  if (scheduled && day !== undefined && parts.now() >= day.closesAt) return tooLate(parts, options, day);
  const closedBefore = day === undefined ? null : await closeFormer(parts, day);
  const closedEarly = scheduled && day !== undefined ? await findClosedEarly(parts, day) : undefined;
  if (day !== undefined && closedEarly !== undefined) {
    const { name, endedAt } = closedEarly;
    return {
      ...nothingDone(parts, day),
      outcome: "closed-early",
      word:
        `${day.date} was closed before its time, so it stays closed: ${name} ended at ${endedAt.toISOString()}. ` +
        `To open it again: npm run --silent trading -- open --stack ${stack}`,
      closedBefore,
    };
  }
  const before = closedBefore === null ? await findOpenedCluster(parts) : undefined;
  if (before !== undefined) {
    const ready = await readReadiness(parts, before.cluster);
    if (!waitReady || (ready !== undefined && canTrade(ready))) {
      const name = clusterName(stack, before);
      return {
        ...nothingDone(parts, day),
        outcome: "already-open",
        word: `already open: ${name}${ready?.ready === true ? `, ready since ${ready.readyAt ?? "?"}` : ""}`,
        ...before,
        ready: ready ?? null,
        positions: ready === undefined ? null : judgePositions(ready),
      };
    }
  }
  const opened = await openCluster(parts, {
    keepFailed: options.keepFailed === true,
    ...(day === undefined ? {} : { forNewCluster: identityOf(day) }),
  });
  await recordCost(parts);
  return { opened, closedBefore };
}

function canTrade(ready: TradingReady): boolean {
  const problems = [...judgePositions(ready).problems, ...clusterClockProblems(ready)];
  return ready.ready && problems.length === 0;
}

interface Checks {
  ready: TradingReady | undefined;
  clocks: ClockReading;
  positions: Positions | null;
}

/** Waits for trading-ready, then looks at clocks and positions. @throws NotReadyError with every problem */
async function checkReadiness(
  parts: ClusterParts,
  options: OpenDayOptions,
  cluster: StackCluster,
): Promise<Checks> {
  const { reporter, stack } = parts;
  const {
    waitReady = true,
    readyTimeoutMs: timeoutMs = defaults.readyTimeoutMs,
    pause = realPause,
  } = options;
  const ready = waitReady ? await waitForReady(parts, { cluster, timeoutMs, pause }) : undefined;
  const clocks = await readClocks(parts, options.clocks ?? clockSources(parts), ready);
  const positions = ready === undefined ? null : await comparePositions(parts, cluster, ready);
  for (const warning of [...clocks.warnings, ...(positions?.warnings ?? [])])
    reporter.note(`warning: ${warning}`);
  const problems = [...clocks.problems, ...(positions?.problems ?? [])];
  if (problems.length > 0) {
    throw new NotReadyError(
      `The cluster ${clusterName(stack, { cluster })} is up, and it must not trade:\n` +
        problems.map((problem) => `  - ${problem}`).join("\n"),
    );
  }
  return { ready, clocks, positions };
}

/** As the executors found them, and as the last day left them. */
async function comparePositions(
  parts: ClusterParts,
  cluster: StackCluster,
  ready: TradingReady,
): Promise<Positions> {
  const { lines, warnings, problems } = judgePositions(ready);
  const overnight = await compareOvernight(parts, cluster, ready);
  return { lines: [...lines, ...overnight.lines], warnings: [...warnings, ...overnight.warnings], problems };
}

/** The day to open; undefined: at once, without one; a result: nothing is to be done. */
async function dayOf(
  parts: ClusterParts,
  options: OpenDayOptions,
): Promise<TradingDay | OpenDayResult | undefined> {
  const { scheduled = false, calendar, tradingDay, mostWaitMs = defaults.mostWaitMs } = options;
  if (!scheduled) return tradingDay;
  const moment = parts.now();
  const day = tradingDay ?? (await calendar?.dayAt(moment)) ?? (await calendar?.nextDay(moment));
  if (day === undefined)
    throw new TypeError("openDay: scheduled without a calendar and without a tradingDay");
  if (moment >= day.closesAt) return tooLate(parts, options, day);
  const early = day.beginsAt.getTime() - moment.getTime();
  if (early <= mostWaitMs) return day;
  const over = await dayThatIsOver(options, moment);
  if (over !== undefined) return tooLate(parts, options, over);
  const isToday = newYorkDate(moment) === day.date;
  return {
    ...nothingDone(parts, day),
    outcome: isToday ? "too-early" : "no-trading-day",
    word: `${isToday ? `too early to open ${day.date}` : "no trading day now"}: the next is ${describeTradingDay(day)}; it begins in ${inWords(early)}`,
  };
}

/** The trading day whose end and deadline this date has seen: a run that comes after them came for it. */
async function dayThatIsOver({ calendar }: OpenDayOptions, moment: Date): Promise<TradingDay | undefined> {
  const today = newYorkDate(moment);
  // One that opens in the evening ends on the date after its own.
  for (const date of [today, plusDays(today, -1)]) {
    const day = await calendar?.dayOf(date);
    if (day !== undefined && day.closesAt <= moment && newYorkDate(day.deadline) === today) return day;
  }
  return undefined;
}

/** The day is over: was it missed? People are told, but nobody need hear of a run that comes after a day that was opened. */
async function tooLate(
  parts: ClusterParts,
  { notifier }: OpenDayOptions,
  day: TradingDay,
): Promise<OpenDayResult> {
  const { stack, now } = parts;
  const at = now().toISOString();
  const late = `too late to open ${day.date}: it closed at ${day.closesAt.toISOString()}, and it is ${at}`;
  const found = await hadCluster(parts, day);
  if (found === true)
    return { ...nothingDone(parts, day), outcome: "too-late", word: `${late}; it had a cluster` };
  const isMissed = found === false;
  const word = isMissed
    ? `${late}. It was missed: nothing was opened for it`
    : `${late}. Whether it was opened could not be looked up: ${found.message}`;
  await notifier.tell({
    kind: isMissed ? "not-opened" : "failed",
    stack,
    cluster: null,
    text: word,
    at,
  });
  await notifier.beat("open", "fail");
  return { ...nothingDone(parts, day), outcome: isMissed ? "missed" : "not-known", word };
}

function notReadyReason(error: unknown, stack: string, cluster: StackCluster): string {
  if (error instanceof NotReadyError) return error.message;
  return `The cluster ${clusterName(stack, { cluster })} is up; whether it can trade was not waited for.`;
}

function whatStays(stack: string, { pricePerHour }: OpenResult): string {
  const price = pricePerHour === null ? "" : ` and costs ${pricePerHour} EUR per started hour (net)`;
  return (
    `It stays${price}. \`npm run --silent trading -- open --stack ${stack}\` looks again, ` +
    `\`npm run --silent trading -- close --stack ${stack}\` seals and removes it.`
  );
}

/** What a new cluster is told of its day: its name and when it should be gone. */
function identityOf({ date, closesAt }: TradingDay): Record<string, string> {
  return { "trading:businessDate": date, "trading:expiresAt": closesAt.toISOString() };
}

/**
 * Closes what nobody closed of an earlier day, whether or not the state knows it: it holds the data of that day, which is sealed
 * before another begins; and what an `up` goes on with keeps its business date. Where this day's cluster is there as well,
 * openCluster says what to do.
 * @returns null when there is nothing
 */
async function closeFormer(parts: ClusterParts, { date }: TradingDay): Promise<CloseResult | null> {
  const { stack, engine, client, reporter } = parts;
  const { cluster } = (await engine.state()) ?? {};
  const there = await findLabelled(client, stack);
  const dates = new Set([cluster?.businessDate, ...there.map(({ labels }) => labels["business-date"])]);
  const former = [...dates].filter((each) => each !== undefined && each < date);
  if (former.length === 0 || dates.has(date)) return null;
  reporter.note(`still there of ${former.join(", ")}: sealing and removing it before ${date} is opened`);
  return closeCluster(parts);
}

function clusterOfResult({ clusterId, businessDate }: OpenResult): StackCluster {
  if (clusterId === null || businessDate === null)
    throw new TypeError("an `up` ended without a cluster in the state");
  return { clusterId, businessDate };
}

function nothingDone(
  { stack }: ClusterParts,
  day: TradingDay | undefined,
): Omit<OpenDayResult, "outcome" | "word"> {
  return {
    stack,
    tradingDay: day ?? null,
    cluster: null,
    pricePerHour: null,
    opened: null,
    closedBefore: null,
    ready: null,
    clocks: null,
    positions: null,
  };
}

/** Never rejects: the failure itself is what the caller has to hear of. */
async function tellFailure(parts: ClusterParts, { notifier }: OpenDayOptions, error: unknown): Promise<void> {
  const { stack, now } = parts;
  await recordCost(parts).catch(() => undefined);
  const known = await findOpenedCluster(parts).catch(() => undefined);
  await notifier.tell({
    kind: "failed",
    stack,
    cluster: known === undefined ? null : clusterName(stack, known),
    text: `open failed: ${error instanceof Error ? error.message : String(error)}`,
    at: now().toISOString(),
    pricePerHour: known?.pricePerHour ?? null,
  });
  await notifier.beat("open", "fail");
}
