/**
 * One run of `open` or `close` in a process of its own, so that it can be killed as a machine is. Argument: a JSON file with
 * {@link KillableJob}; what it says goes to standard output.
 */
import { readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { calendarOf } from "../../ops/calendar/calendar.ts";
import { storedRules } from "../../ops/calendar/stored-rules.ts";
import type { Schedule } from "../../ops/calendar/trading-day.ts";
import { type DayJobArguments, runDayJob } from "./job-run.ts";

/** What the process is told. */
export interface KillableJob extends Pick<
  DayJobArguments,
  "job" | "engine" | "engineSpeed" | "environment" | "mostWaitMs"
> {
  schedule: Schedule;
  /** The simulated time at its start, ms since the epoch; from then on it passes as the machine's does. */
  startsAt: number;
}

const { startsAt, schedule, ...job } = JSON.parse(readFileSync(process.argv[2] ?? "", "utf8")) as KillableJob;
const began = performance.now();
let skipped = 0;
try {
  const said = await runDayJob({
    ...job,
    calendar: calendarOf(schedule, storedRules),
    now: () => new Date(startsAt + skipped + performance.now() - began),
    pause: async (milliseconds) => {
      // The cluster's inside answers in real time.
      await delay(20);
      skipped += milliseconds;
    },
    signal: new AbortController().signal,
    note: () => undefined,
  });
  process.stdout.write(`${said}\n`);
} catch (error) {
  process.stdout.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
