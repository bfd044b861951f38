/** One run of a job as a CI would start it: `trading open`, `close` or `guard` by their library, without a command line. */
import { setTimeout as delay } from "node:timers/promises";
import type { Calendar } from "../../ops/calendar/calendar.ts";
import { type ClusterParts, openParts } from "../../ops/cluster/parts.ts";
import { closeDay } from "../../ops/day/close-day.ts";
import { openDay } from "../../ops/day/open-day.ts";
import type { Pause } from "../../ops/day/waiting.ts";
import type { StackEngine } from "../../ops/engine/stack-engine.ts";
import { openNotifier } from "../../ops/notify/notifier.ts";
import { labStackEngine, type LabStackEngineOptions } from "../stack-engine.ts";

/** Real time: the receiver is on this machine. */
export const deliveryPatience = { requestTimeoutMs: 5_000, firstDelayMs: 5, maxDelayMs: 20, deadlineMs: 100 };
const hetznerPatience = { firstDelayMs: 5, maxDelayMs: 50, pollMs: 10, retryDeadlineMs: 20_000 };
/** Killed runs are many here, and the next one waits for the end of their lease. */
const turnLeaseMs = 20_000;

/** Arguments of {@link runDayJob}. */
export interface DayJobArguments {
  job: "open" | "close";
  engine: Omit<LabStackEngineOptions, "clock">;
  /** How many times faster than for real the engine's pauses pass. */
  engineSpeed: number;
  /** The program's environment and the command's: addresses of those who are told, the gate's patience. */
  environment: Readonly<Record<string, string>>;
  calendar: Calendar;
  /** Longest wait for the day's time, in ms; what comes earlier ends with a word. */
  mostWaitMs: number;
  now: () => Date;
  pause: Pause;
  signal: AbortSignal;
  /** Told what the command would print. */
  note: (line: string) => void;
  /** What the engine is put into, such as what makes its runs take time. Default: nothing. */
  around?: (engine: StackEngine) => StackEngine;
}

/** Runs it as `--scheduled`. @returns what it says in the end @throws what openDay and closeDay throw */
export async function runDayJob(args: DayJobArguments): Promise<string> {
  return withParts(args, async (parts) => {
    const { job, calendar, pause, mostWaitMs, environment, signal, note } = args;
    const options = {
      scheduled: true,
      calendar,
      notifier: openNotifier({ environment, reporter: { note }, signal, patience: deliveryPatience }),
      pause,
      mostWaitMs,
    };
    // Real clocks are no part of a simulated year.
    const result = await (job === "open"
      ? openDay(parts, { ...options, clocks: [] })
      : closeDay(parts, options));
    return `${result.outcome}: ${result.word}`;
  });
}

/** Opens what a command of ours works with, and closes it. */
export async function withParts<Result>(
  args: Omit<DayJobArguments, "job" | "calendar" | "pause" | "mostWaitMs">,
  work: (parts: ClusterParts) => Promise<Result>,
): Promise<Result> {
  const { engine: options, engineSpeed, environment, now, signal, note, around = (same) => same } = args;
  const clock = {
    pause: (milliseconds: number, ended?: AbortSignal) =>
      delay(milliseconds / engineSpeed, undefined, ended === undefined ? {} : { signal: ended }).catch(
        () => undefined,
      ),
  };
  const parts = await openParts({
    stack: options.stack,
    projectDirectory: options.projectDirectory,
    environment,
    engine: around(labStackEngine({ ...options, clock })),
    patience: hetznerPatience,
    turn: { leaseMs: turnLeaseMs },
    reporter: { note, progress: () => undefined },
    signal,
    now,
  });
  try {
    return await work(parts);
  } finally {
    parts.close();
  }
}
