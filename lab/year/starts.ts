/** When the jobs of a day are started: by the crons of the repository's own workflows, as reliably as CIs do. */
import { projectDirectory } from "../directories.ts";
import { createRandom } from "../session/random.ts";
import { scheduleOfWorkflow, type WorkflowSchedule } from "./crons.ts";
import type { DayFault, Job } from "./faults.ts";

const workflows: Readonly<Record<Job, string>> = {
  open: ".github/workflows/trading-day-open.yml",
  close: ".github/workflows/trading-day-close.yml",
  guard: ".github/workflows/guard.yml",
};

/** On any day, a start comes up to so many minutes late. */
const usuallyLateMinutes = 12;
const minuteMs = 60_000;

/** When which job is started. */
export type Schedules = Readonly<Record<Job, WorkflowSchedule>>;

/** Those of the repository's workflows. @throws LabError when one has no cron */
export function readSchedules(): Schedules {
  return {
    open: scheduleOfWorkflow(projectDirectory, workflows.open),
    close: scheduleOfWorkflow(projectDirectory, workflows.close),
    guard: scheduleOfWorkflow(projectDirectory, workflows.guard),
  };
}

/** One start of a job. */
export interface Start {
  job: Job;
  at: Date;
}

/** Arguments of {@link startsOf}. */
export interface StartArguments {
  seed: number;
  stack: string;
  /** UTC. */
  date: string;
  schedules: Schedules;
  faults: readonly DayFault[];
  /** The job's first start before this moment does nothing and is not the one that faults hit. */
  matters: Readonly<Record<"open" | "close", Date>> | undefined;
}

/** All starts of a day. */
export function startsOf({ seed, stack, date, schedules, faults, matters }: StartArguments): Start[] {
  const random = createRandom(seed, `starts of ${stack} on ${date}`);
  const from = new Date(`${date}T00:00:00Z`);
  const until = new Date(from.getTime() + 24 * 60 * minuteMs);
  return (["open", "close", "guard"] as const).flatMap((job) => {
    const planned = schedules[job].crons
      .flatMap((cron) => cron.between(from, until))
      .sort((a, b) => a.getTime() - b.getTime());
    const first = planned.find((at) => job === "guard" || matters === undefined || at >= matters[job]);
    const starts: Start[] = [];
    for (const at of planned) {
      let moment = at.getTime() + Math.round(random.next() * usuallyLateMinutes * minuteMs);
      let isDropped = false;
      for (const fault of faults) {
        if (!("job" in fault) || fault.job !== job) continue;
        const isHit = at === first || ("all" in fault && fault.all);
        if (!isHit) continue;
        if (fault.kind === "cron-late") moment += fault.minutes * minuteMs;
        if (fault.kind === "cron-dropped") isDropped = true;
        if (fault.kind === "cron-double")
          starts.push({ job, at: new Date(moment + fault.minutes * minuteMs) });
      }
      if (!isDropped) starts.push({ job, at: new Date(moment) });
    }
    return starts;
  });
}
