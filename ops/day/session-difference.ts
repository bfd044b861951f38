/**
 * Whether the calendar that is believed differs from the stored rules today. A closure at short notice looks the same as an answer
 * that is wrong or cut short, and the latter would lose a trading day in silence: so people are told, once.
 */
import { newYorkDate } from "../../services/core/exchange-calendar.ts";
import type { SessionSource, SessionTimes } from "../calendar/session-source.ts";
import { storedRules, storedSession } from "../calendar/stored-rules.ts";
import { zonedTime } from "../calendar/zoned-time.ts";
import type { Finding } from "../guard/findings.ts";
import { isDue, readMemory, remember, writeMemory } from "../guard/memory.ts";
import type { ClusterParts } from "../cluster/parts.ts";
import type { Notifier } from "../notify/notifier.ts";

/**
 * @returns what people are told; undefined: both agree on the date that New York has now
 * @throws what the source throws; CalendarError for years that the stored rules do not know
 */
export async function sessionDifference(
  { stack, now }: { stack: string; now: Date },
  source: SessionSource,
): Promise<Finding | undefined> {
  const date = newYorkDate(now);
  const theirs = (await source.sessions(date, date)).get(date);
  const ours = storedSession(date);
  const [their, our] = [theirs, ours].map(describe) as [string, string];
  if (their === our) return undefined;
  const isCancelled = theirs === undefined;
  const believed = isCancelled
    ? "The former is believed, so nothing is opened. If the exchange has its session all the same: " +
      `npm run --silent trading -- open --stack ${stack}`
    : "The former is believed.";
  return {
    kind: isCancelled ? "not-opened" : "failed",
    key: `calendar:${date}`,
    cluster: null,
    text:
      `The calendars differ for ${date}: ${source.name} says ${their}, ${storedRules.name} say ${our}. ${believed} ` +
      "Where the exchange has decided it, add it to services/core/exchange-calendar.ts (docs/calendar.md)",
    pricePerHour: null,
    isPast: true,
  };
}

/** Tells it, unless an earlier run or the guard has: they share what they remember. */
export async function tellSessionDifference(
  { stack, archiveStore, reporter, now }: Pick<ClusterParts, "stack" | "archiveStore" | "reporter" | "now">,
  notifier: Notifier,
  source: SessionSource,
): Promise<void> {
  const found = await sessionDifference({ stack, now: now() }, source);
  if (found === undefined) return;
  const warn = (line: string): void => reporter.note(`warning: ${line}`);
  warn(found.text);
  const memory = await readMemory(archiveStore, stack, warn);
  if (!isDue(found, memory, now())) return;
  const { kind, cluster, text, pricePerHour } = found;
  const told = await notifier.tell({ kind, stack, cluster, text, at: now().toISOString(), pricePerHour });
  if (told !== false) await writeMemory(archiveStore, stack, remember(memory, found, now()), warn);
}

function describe(session: SessionTimes | undefined): string {
  if (session === undefined) return "no session";
  const [open, close] = [session.open, session.close].map((at) => zonedTime(at, "America/New_York").time);
  return `${open} to ${close} in New York`;
}
