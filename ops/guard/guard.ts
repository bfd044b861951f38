/**
 * `trading guard`: an independent look at a stack. What is wrong is told, at a sensible rhythm; with `close` what is past its
 * deadline is sealed and removed. It changes nothing else, but for admissions that are over.
 */
import { ArchiveStoreError } from "../../services/archive/store.ts";
import { clearLeftover, type ClearingParts } from "../cluster/clear.ts";
import { LeftBehindError } from "../cluster/close.ts";
import { endAdmissions } from "../cluster/end-admissions.ts";
import { RemovalError } from "../cluster/removal.ts";
import type { SessionSource } from "../calendar/session-source.ts";
import { recordCost } from "../cost/record.ts";
import { sessionDifference } from "../day/session-difference.ts";
import { StackEngineError } from "../engine/stack-engine.ts";
import { HetznerActionError, HetznerApiError } from "../hetzner/errors.ts";
import type { Notifier } from "../notify/notifier.ts";
import { RefusedError, UsageError } from "../run.ts";
import { readActivities } from "./activity.ts";
import { type Finding, findingsOf, overdueOf } from "./findings.ts";
import { forgetOthers, isDue, type Memory, readMemory, remember, writeMemory } from "./memory.ts";
import { type GuardCalendar, look, type Sight } from "./sight.ts";

/** What the guard works with: no engine, no state. */
export interface GuardParts extends ClearingParts {
  /** The present moment. */
  now: () => Date;
  /** Undefined: the stack has no schedule, so nothing has to be open. */
  calendar: (GuardCalendar & { source?: SessionSource }) | undefined;
  notifier: Notifier;
  /** How long after its closing time a cluster may take to be gone (`trading:schedule.deadlineMinutes`). Default: 90. */
  deadlineMinutes?: number;
}

/** How it looks, and how what is past its deadline is closed. */
export interface GuardOptions {
  /**
   * Whether the bucket and the services have the time of `now`: then an archiver that falls silent and a seal that does not come
   * about are found as well. Default: false; in a rehearsal on a simulated clock they have the machine's.
   */
  hasRealTimes?: boolean;
  /**
   * Closes the whole stack as `trading close` does, with the state where it is to be had. It throws a UsageError where it
   * cannot even begin; then, and while a cluster that is in its time is there, what is overdue is removed by label.
   * `stillDue` is for closeDay: other runs may have been at work before its turn. Default: nothing is closed.
   */
  close?: ((notifier: Notifier, stillDue: () => Promise<string | undefined>) => Promise<unknown>) | undefined;
}

/** A finding, and whether people heard of it. */
export interface ToldFinding extends Finding {
  /** When it was first found, RFC 3339. */
  since: string;
  /** Whether people were told now; false: they were lately, or could not be. */
  told: boolean;
}

/** What the guard found and did. */
export interface GuardResult {
  stack: string;
  /** RFC 3339. */
  at: string;
  /** Business date of the trading day that goes on; null when none does. */
  tradingDay: string | null;
  findings: ToldFinding[];
  /** Names of the clusters past their deadline that were removed. */
  closed: string[];
  /** Why some could not be. */
  notClosed: string[];
}

const defaultDeadlineMinutes = 90;

/**
 * Looks, tells and, where asked to, closes.
 * @throws the signal's reason; UsageError of the calendar
 */
export async function guardStack(parts: GuardParts, options: GuardOptions = {}): Promise<GuardResult> {
  const { close, hasRealTimes = false } = options;
  const { stack, now, reporter, notifier, archiveStore, client, calendar, signal } = parts;
  const { deadlineMinutes = defaultDeadlineMinutes } = parts;
  const deadlineMs = deadlineMinutes * 60_000;
  const sight = await look({ stack, now: now(), client, archiveStore, calendar });
  await endAdmissions({ client, stack, signal, reporter, now });
  const activities = hasRealTimes ? await readActivities(sight, archiveStore) : undefined;
  const findings = [...findingsOf(sight, deadlineMs, activities), ...(await calendarFindings(parts, sight))];
  const warn = (line: string): void => reporter.note(`warning: ${line}`);
  // A bucket that has just not answered is not asked again.
  const isBucketThere = sight.archived !== undefined;
  const before: Memory = isBucketThere ? await readMemory(archiveStore, stack, warn) : {};
  let memory = before;
  const told: ToldFinding[] = [];
  let isAnyoneDeaf = false;
  const tell = async (finding: Finding): Promise<void> => {
    const since = memory[finding.key]?.since ?? now().toISOString();
    const due = isDue(finding, memory, now());
    const arrived = due && (await notifier.tell(noticeOf(parts, finding, memory))) !== false;
    if (due && !arrived) isAnyoneDeaf = true;
    if (arrived) memory = remember(memory, finding, now());
    told.push({ ...finding, since, told: arrived });
  };
  let noted = before;
  const note = async (): Promise<void> => {
    if (!isBucketThere || JSON.stringify(memory) === JSON.stringify(noted)) return;
    await writeMemory(archiveStore, stack, memory, warn);
    noted = memory;
  };
  for (const finding of findings) await tell(finding);
  // Before what takes long and may be killed.
  await note();
  const { closed, notClosed, failure } =
    close === undefined ? nothingClosed : await closeOverdue(parts, sight, deadlineMs, close);
  if (failure !== undefined) await tell(failure);
  // What is not seen may still be so.
  if (sight.blind.length === 0) memory = forgetOthers(memory, told);
  await note();
  // The switch of another service tells where the webhook could not.
  await notifier.beat("guard", isAnyoneDeaf || sight.blind.length > 0 ? "fail" : "success");
  return {
    stack,
    at: sight.now.toISOString(),
    tradingDay: sight.day?.date ?? null,
    findings: told,
    closed,
    notClosed,
  };
}

/** A calendar that could not be asked was found before. */
async function calendarFindings({ calendar }: GuardParts, sight: Sight): Promise<Finding[]> {
  if (calendar?.source === undefined || sight.blind.some(({ what }) => what === "calendar")) return [];
  const difference = await sessionDifference(sight, calendar.source);
  return difference === undefined ? [] : [difference];
}

function noticeOf({ stack, now }: GuardParts, finding: Finding, memory: Memory) {
  const { kind, key, cluster, text, pricePerHour } = finding;
  const before = memory[key];
  const again = before === undefined ? "" : `Still so, since ${before.since}. `;
  return { kind, stack, cluster, text: again + text, at: now().toISOString(), pricePerHour };
}

interface Closing {
  closed: string[];
  notClosed: string[];
  /** What people have not been told yet. */
  failure?: Finding | undefined;
}
const nothingClosed: Closing = { closed: [], notClosed: [] };

/** Closes what is past its deadline. @throws the signal's reason; what is no failure of a service */
async function closeOverdue(
  parts: GuardParts,
  sight: Sight,
  deadlineMs: number,
  close: NonNullable<GuardOptions["close"]>,
): Promise<Closing> {
  const overdue = overdueOf(sight, deadlineMs);
  if (overdue.length === 0) return nothingClosed;
  const { stack, reporter, notifier, signal } = parts;
  const isInTime = (sight.clusters ?? []).length > overdue.length;
  if (!isInTime) {
    reporter.note(
      `closing stack ${stack}: ${overdue.map(({ name }) => name).join(", ")} is past its deadline`,
    );
    let notDue: string | undefined;
    try {
      await close(withoutFailures(notifier), async () => (notDue = await whyNotDue(parts, deadlineMs)));
      if (notDue !== undefined) return { closed: [], notClosed: [notDue] };
      return { closed: overdue.map(({ name }) => name), notClosed: [] };
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof UsageError)) return notClosedFor(error);
      reporter.note(`warning: the state cannot be used, so it is removed by label: ${error.message}`);
    }
  }
  const result: Closing = { closed: [], notClosed: [] };
  for (const cluster of overdue) {
    try {
      await recordCost(parts);
      const identity = cluster.cluster === undefined ? [] : [{ stack, ...cluster.cluster }];
      const { cluster: name, release } = await clearLeftover(parts, { ...cluster, isOfState: false }).finally(
        () => recordCost(parts, identity),
      );
      result.closed.push(name);
      const text = `The guard removed what was left of it past its deadline (${release}).`;
      await notifier.tell({ kind: "closed", stack, cluster: name, text, at: parts.now().toISOString() });
    } catch (error) {
      signal.throwIfAborted();
      const { notClosed, failure } = notClosedFor(error);
      result.notClosed.push(...notClosed);
      result.failure ??= failure;
    }
  }
  return result;
}

/** Looks again. @returns why not all that is there may be closed; undefined: it is still past its deadline, or gone */
async function whyNotDue(
  { stack, now, client, archiveStore, calendar }: GuardParts,
  deadlineMs: number,
): Promise<string | undefined> {
  const sight = await look({ stack, now: now(), client, archiveStore, calendar });
  const overdue = overdueOf(sight, deadlineMs);
  if (sight.clusters !== undefined && sight.clusters.every((cluster) => overdue.includes(cluster)))
    return undefined;
  return `another run was at work on stack ${stack}, and what is there now is not all past its deadline: nothing was closed`;
}

/** What it is about was found and told already; only that closing itself fails is news. */
function notClosedFor(error: unknown): Closing {
  if (error instanceof RefusedError) return { closed: [], notClosed: [error.message] };
  const isForeseen = [
    LeftBehindError,
    StackEngineError,
    RemovalError,
    HetznerApiError,
    HetznerActionError,
    ArchiveStoreError,
  ].some((type) => error instanceof type);
  if (!isForeseen) throw error;
  const { message } = error as Error;
  return {
    closed: [],
    notClosed: [message],
    failure: {
      kind: "failed",
      key: "failed:close",
      cluster: null,
      text: `The guard could not close what is past its deadline: ${message}`,
      pricePerHour: null,
    },
  };
}

/** The close path tells each failure; here that is the guard's, which knows what it has told before. */
function withoutFailures(notifier: Notifier): Notifier {
  return {
    tell: async (notice) => (notice.kind === "closed" ? notifier.tell(notice) : undefined),
    beat: async (job, heartbeat) => (heartbeat === "fail" ? undefined : notifier.beat(job, heartbeat)),
  };
}
