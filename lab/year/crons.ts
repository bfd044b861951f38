/** The times at which a CI's cron starts a job. All times are UTC, as at GitHub. */
import { readFileSync } from "node:fs";
import path from "node:path";
import { parse } from "yaml";
import { exitCodes, LabError } from "../errors.ts";

const ranges = [
  { name: "minute", least: 0, most: 59 },
  { name: "hour", least: 0, most: 23 },
  { name: "day of the month", least: 1, most: 31 },
  { name: "month", least: 1, most: 12 },
  { name: "day of the week", least: 0, most: 7 },
] as const;

/** A cron line of five fields: numbers, lists, ranges and steps; names are not read. */
export class Cron {
  readonly #fields: readonly ReadonlySet<number>[];
  readonly #restrictsDay: readonly [ofMonth: boolean, ofWeek: boolean];

  /** @throws LabError (exit code 2) */
  constructor(line: string) {
    const fields = line.trim().split(/\s+/);
    if (fields.length !== ranges.length)
      throw new LabError(`cron ${JSON.stringify(line)}: expected five fields`, exitCodes.usage);
    this.#fields = ranges.map((range, index) => readField(fields[index] ?? "", range, line));
    this.#restrictsDay = [fields[2] !== "*", fields[4] !== "*"];
  }

  /** Every start in [from, until), in order. */
  between(from: Date, until: Date): Date[] {
    const [minutes, hours] = this.#fields as [ReadonlySet<number>, ReadonlySet<number>];
    const starts: Date[] = [];
    const day = new Date(Date.UTC(from.getUTCFullYear(), from.getUTCMonth(), from.getUTCDate()));
    for (; day < until; day.setUTCDate(day.getUTCDate() + 1)) {
      if (!this.#isDay(day)) continue;
      for (const hour of hours)
        for (const minute of minutes) {
          const start = new Date(day.getTime() + (hour * 60 + minute) * 60_000);
          if (start >= from && start < until) starts.push(start);
        }
    }
    return starts.sort((a, b) => a.getTime() - b.getTime());
  }

  /** Where both kinds of days are restricted, either suffices: crontab(5). */
  #isDay(day: Date): boolean {
    const [, , ofMonth, months, ofWeek] = this.#fields;
    if (months?.has(day.getUTCMonth() + 1) !== true) return false;
    const isOfMonth = ofMonth?.has(day.getUTCDate()) === true;
    const weekday = day.getUTCDay();
    const isOfWeek = ofWeek?.has(weekday) === true || (weekday === 0 && ofWeek?.has(7) === true);
    const [byMonth, byWeek] = this.#restrictsDay;
    return byMonth && byWeek ? isOfMonth || isOfWeek : isOfMonth && isOfWeek;
  }
}

function readField(field: string, { name, least, most }: (typeof ranges)[number], line: string): Set<number> {
  const values = new Set<number>();
  for (const part of field.split(",")) {
    const match = /^(?:\*|(\d+)(?:-(\d+))?)(?:\/(\d+))?$/.exec(part);
    const [, first, last, step = "1"] = match ?? [];
    const from = first === undefined ? least : Number(first);
    const to =
      last !== undefined ? Number(last) : first === undefined || match?.[3] !== undefined ? most : from;
    if (match === null || from < least || to > most || from > to || Number(step) < 1) {
      throw new LabError(
        `cron ${JSON.stringify(line)}: ${name} is ${JSON.stringify(part)}, expected numbers from ${least} to ${most}`,
        exitCodes.usage,
      );
    }
    for (let value = from; value <= to; value += Number(step)) values.add(value);
  }
  return values;
}

/** What a workflow says of its job's starts. */
export interface WorkflowSchedule {
  crons: Cron[];
  /** Longest wait of a run (`--most-wait`), in ms; 0 when it does not wait. */
  mostWaitMs: number;
}

/**
 * Reads a workflow as it stands in the repository.
 * @param file below the project's folder, for example `.github/workflows/guard.yml`
 * @throws LabError (exit code 2) when it cannot be read or has no cron
 */
export function scheduleOfWorkflow(projectDirectory: string, file: string): WorkflowSchedule {
  let text: string;
  let workflow: { on?: { schedule?: { cron?: string }[] } } | null;
  try {
    text = readFileSync(path.join(projectDirectory, file), "utf8");
    workflow = parse(text) as typeof workflow;
  } catch (error) {
    throw new LabError(`${file} cannot be read: ${(error as Error).message}`, exitCodes.usage);
  }
  const lines = (workflow?.on?.schedule ?? []).flatMap(({ cron }) => (cron === undefined ? [] : [cron]));
  if (lines.length === 0) {
    throw new LabError(
      `${file}: no "on.schedule.cron"; the year has nothing that starts its days`,
      exitCodes.usage,
    );
  }
  const [, minutes = "0"] = /--most-wait (\d+)/.exec(text) ?? [];
  return { crons: lines.map((line) => new Cron(line)), mostWaitMs: Number(minutes) * 60_000 };
}
