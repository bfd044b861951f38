/** What goes wrong on each day of the simulated year, from its seed alone. */
import { createRandom, type Random } from "../session/random.ts";
import type { Density } from "./options.ts";

/** What has a cron. */
export type Job = "open" | "close" | "guard";

/** Something that goes wrong on a day. Moments are minutes relative to when the cluster should begin, or be closed. */
export type DayFault =
  /** The first start of a job comes so much later, or all of them do. */
  | { kind: "cron-late"; job: "open" | "close"; minutes: number; all: boolean }
  /** The first start of a job never comes, or none of them does. */
  | { kind: "cron-dropped"; job: Job; all: boolean }
  /** The first start of a job comes twice. */
  | { kind: "cron-double"; job: "open" | "close"; minutes: number }
  /** The machine of the job's first run is gone at the n-th answer of Hetzner's API: SIGKILL, the program included. */
  | { kind: "runner-killed"; job: "open" | "close"; nth: number }
  /** The preferred location has none of the preferred servers left: in its list, or only when they are ordered. */
  | { kind: "stock-out"; when: "listed" | "ordered" }
  /** No location has anything, from an hour before the day begins. */
  | { kind: "sold-out"; minutes: number }
  /** The bucket answers nobody, from some minutes before the day begins or is closed. */
  | { kind: "s3-down"; job: "open" | "close"; minutes: number }
  /** Requests to Hetzner's API are answered with 503, each with this probability, all day. */
  | { kind: "hetzner-errors"; rate: number }
  /** An action at Hetzner ends in an error once: a server that cannot be made, or not be deleted. */
  | { kind: "action-failed"; command: "create_server" | "delete_server" }
  /** The webhook's receiver answers 503 all day. */
  | { kind: "webhook-down" }
  /** The stack's state is lost while the cluster is open. */
  | { kind: "state-lost" }
  /** The archiver refuses the seal, from the closing time on. */
  | { kind: "seal-refused"; minutes: number };

export type FaultKind = DayFault["kind"];

interface Recipe {
  /** Share of days, by density. */
  share: Readonly<Record<Density, number>>;
  make: (random: Random) => DayFault;
}

const job = (random: Random): "open" | "close" => random.pick(["open", "close"]);

/**
 * Shares of `usual` are estimates: late and dropped starts after GitHub's own warning
 * (https://docs.github.com/actions/reference/workflows-and-actions/events-that-trigger-workflows#schedule), the others
 * far above what anybody reports, so that a year meets each of them some times.
 */
const recipes: readonly Recipe[] = [
  {
    share: { usual: 0.06, dense: 0.1 },
    make: (random) => ({
      kind: "cron-late",
      job: job(random),
      minutes: random.integer(15, 200),
      all: random.next() < 0.5,
    }),
  },
  {
    share: { usual: 0.03, dense: 0.09 },
    make: (random) => ({ kind: "cron-dropped", job: job(random), all: random.next() < 0.5 }),
  },
  {
    share: { usual: 0.01, dense: 0.05 },
    make: () => ({ kind: "cron-dropped", job: "guard", all: false }),
  },
  {
    share: { usual: 0.02, dense: 0.05 },
    make: (random) => ({ kind: "cron-double", job: job(random), minutes: random.integer(1, 20) }),
  },
  {
    share: { usual: 0.03, dense: 0.12 },
    make: (random) => ({ kind: "runner-killed", job: job(random), nth: random.integer(3, 60) }),
  },
  {
    share: { usual: 0.03, dense: 0.08 },
    make: (random) => ({ kind: "stock-out", when: random.pick(["listed", "ordered"]) }),
  },
  {
    share: { usual: 0.01, dense: 0.04 },
    make: (random) => ({ kind: "sold-out", minutes: random.integer(70, 240) }),
  },
  {
    share: { usual: 0.03, dense: 0.1 },
    make: (random) => ({ kind: "s3-down", job: job(random), minutes: random.integer(20, 240) }),
  },
  {
    share: { usual: 0.03, dense: 0.07 },
    make: (random) => ({ kind: "hetzner-errors", rate: random.integer(2, 10) / 100 }),
  },
  {
    share: { usual: 0.02, dense: 0.05 },
    make: (random) => ({ kind: "action-failed", command: random.pick(["create_server", "delete_server"]) }),
  },
  { share: { usual: 0.03, dense: 0.08 }, make: () => ({ kind: "webhook-down" }) },
  { share: { usual: 0.02, dense: 0.06 }, make: () => ({ kind: "state-lost" }) },
  {
    share: { usual: 0.02, dense: 0.06 },
    make: (random) => ({ kind: "seal-refused", minutes: random.integer(20, 200) }),
  },
];

/**
 * The faults of a stack's day: each kind is drawn by itself, so several may meet.
 * @param date `YYYY-MM-DD`
 */
export function faultsOf(seed: number, stack: string, date: string, density: Density): DayFault[] {
  const random = createRandom(seed, `faults of ${stack} on ${date}`);
  return recipes.flatMap(({ share, make }) => {
    // Drawn in any case, so that another density moves no other draw.
    const isDrawn = random.next() < share[density];
    const fault = make(random);
    return isDrawn ? [fault] : [];
  });
}

/** For people and reports: `cron-late open by 35 min, all`. */
export function describeFault(fault: DayFault): string {
  switch (fault.kind) {
    case "cron-late":
      return `cron-late ${fault.job} by ${fault.minutes} min${fault.all ? ", every start" : ""}`;
    case "cron-dropped":
      return `cron-dropped ${fault.job}${fault.all ? ", every start" : ""}`;
    case "cron-double":
      return `cron-double ${fault.job} after ${fault.minutes} min`;
    case "runner-killed":
      return `runner-killed ${fault.job} at request ${fault.nth}`;
    case "stock-out":
      return `stock-out ${fault.when}`;
    case "sold-out":
      return `sold-out everywhere for ${fault.minutes} min`;
    case "s3-down":
      return `s3-down at ${fault.job} for ${fault.minutes} min`;
    case "hetzner-errors":
      return `hetzner-errors ${Math.round(fault.rate * 100)} %`;
    case "action-failed":
      return `action-failed ${fault.command}`;
    case "webhook-down":
    case "state-lost":
      return fault.kind;
    case "seal-refused":
      return `seal-refused for ${fault.minutes} min`;
  }
}
