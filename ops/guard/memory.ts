/**
 * What people were told, and when: `<stack>/guard.json` in the archive bucket, since the guard's machines remember nothing. What stays
 * wrong is told again each hour, from the seventh time on each six hours. Two guards at once may tell a thing twice.
 */
import { z } from "zod";
import { type ArchiveStore, ArchiveStoreError } from "../../services/archive/store.ts";
import { instantString } from "../../services/core/time.ts";
import type { Finding } from "./findings.ts";

const toldSchema = z.object({
  /** When it was first found. */
  since: instantString,
  /** When people were last told. */
  lastAt: instantString,
  times: z.int().min(1),
});
/** One thing that people were told. */
export type Told = z.infer<typeof toldSchema>;

const memorySchema = z.object({ told: z.record(z.string(), toldSchema) });
/** By the findings' keys. */
export type Memory = Readonly<Record<string, Told>>;

const hourMs = 3_600_000;
/** A schedule that runs the guard each quarter of an hour is never exact to the minute. */
const toleranceMs = 6 * 60_000;
const timesEachHour = 6;

/** Whether people should hear of it now. */
export function isDue({ key, isPast = false }: Finding, memory: Memory, now: Date): boolean {
  const told = memory[key];
  if (told === undefined) return true;
  if (isPast) return false;
  const rhythmMs = told.times < timesEachHour ? hourMs : 6 * hourMs;
  return now.getTime() - Date.parse(told.lastAt) >= rhythmMs - toleranceMs;
}

/** The memory after people were told. */
export function remember(memory: Memory, { key }: Finding, now: Date): Memory {
  const at = now.toISOString();
  const before = memory[key];
  return { ...memory, [key]: { since: before?.since ?? at, lastAt: at, times: (before?.times ?? 0) + 1 } };
}

/** The memory without what is over, which would be news if it came again. */
export function forgetOthers(memory: Memory, findings: readonly Finding[]): Memory {
  return Object.fromEntries(
    Object.entries(memory).filter(([key]) => findings.some((finding) => finding.key === key)),
  );
}

const keyOf = (stack: string): string => `${stack}/guard.json`;

/**
 * Reads it. What cannot be read counts as nothing told: people hear of a thing too often rather than never.
 * @param report told why
 */
export async function readMemory(
  store: ArchiveStore,
  stack: string,
  report: (line: string) => void,
): Promise<Memory> {
  try {
    const found = await store.get(keyOf(stack));
    return found === undefined ? {} : memorySchema.parse(JSON.parse(found.body.toString("utf8"))).told;
  } catch (error) {
    report(`what people were told before is not known: ${(error as Error).message}`);
    return {};
  }
}

/** Writes it. @param report told when it cannot be written */
export async function writeMemory(
  store: ArchiveStore,
  stack: string,
  memory: Memory,
  report: (line: string) => void,
): Promise<void> {
  try {
    await store.putJson(keyOf(stack), { told: memory } satisfies z.infer<typeof memorySchema>);
  } catch (error) {
    if (!(error instanceof ArchiveStoreError)) throw error;
    report(`what people were told could not be noted, so they are told again next time: ${error.message}`);
  }
}
