/**
 * What happens to whom and when: decided before the run from the seed alone, so that a run can be repeated. What the
 * machine makes of it (which command is under way when a process dies) differs from run to run.
 */
import { createRandom, type Random } from "../session/index.ts";
import type { Mutation } from "./options.ts";
import type { PoisonKind } from "./poison.ts";

/** A process that the plan may act on. */
export interface Target {
  /** For example `executor-alpaca-1`. */
  name: string;
  /** What it executes at; undefined for services that don't execute. */
  venue?: string;
}

/**
 * When an action of the plan strikes, once its time has come: at once, behind the next INTENT of the venue in the
 * journal, or behind the next order that the venue takes.
 */
export type Trigger = "now" | "intent" | "order";

/** One thing that happens. `at` is in seconds since the load began. */
export type Action = { at: number } & (
  | /** SIGTERM, and when it has ended, the new one: as Kubernetes recreates a pod. */ {
      kind: "replace";
      process: string;
    }
  | /** SIGKILL, and the new one at once. */ { kind: "kill"; process: string; trigger: Trigger }
  | /** SIGSTOP; SIGCONT after so many seconds. */ {
      kind: "freeze";
      process: string;
      trigger: Trigger;
      seconds: number;
    }
  | /** kill -9 of a broker, started again after so many seconds. */ {
      kind: "broker";
      broker: number;
      seconds: number;
    }
  | { kind: "poison"; poison: PoisonKind }
);

/** The whole plan. */
export interface Plan {
  actions: readonly Action[];
  /** Until here processes were only replaced in order: seconds since the load began. */
  orderlyUntil: number;
  /** How long the load lasts at least, in seconds. */
  seconds: number;
}

export interface PlanArguments {
  seed: number;
  /** How long the load will take at its rate, in seconds. */
  loadSeconds: number;
  targets: readonly Target[];
  brokers: number;
  poisons: readonly PoisonKind[];
  mutation: Mutation | undefined;
}

/** A member of a consumer group counts as dead after 10 s without a sign of life (services/bus/consumer.ts). */
export const sessionTimeoutSeconds = 10;

/** Between two replacements: an orderly stop and a start on a busy machine. */
const replacementSeconds = 1.5;
/** In this time everything is killed once. */
const roundSeconds = 40;

const tenths = (seconds: number) => Math.round(seconds * 10) / 10;

/** Makes the plan. The same arguments give the same plan. */
export function makePlan(args: PlanArguments): Plan {
  const random = createRandom(args.seed, "chaos plan");
  return args.mutation === undefined ? fullPlan(args, random) : mutantPlan(args, random);
}

function fullPlan({ loadSeconds, targets, brokers, poisons }: PlanArguments, random: Random): Plan {
  const actions: Action[] = [];
  let at = 2;
  for (const { name } of targets) {
    actions.push({ at: tenths(at), kind: "replace", process: name });
    at += replacementSeconds;
  }
  const orderlyUntil = tenths(at + 3);
  const rounds = Math.max(1, Math.floor((loadSeconds - orderlyUntil) / roundSeconds));
  for (let round = 0; round < rounds; round++) {
    actions.push(...killRound(orderlyUntil + round * roundSeconds, { targets, brokers }, random));
  }
  const seconds = tenths(Math.max(loadSeconds, orderlyUntil + rounds * roundSeconds));
  for (const poison of poisons) {
    actions.push({ at: tenths(1 + random.next() * (seconds - 5)), kind: "poison", poison });
  }
  return { actions: actions.sort((a, b) => a.at - b.at), orderlyUntil, seconds };
}

/** Everything is killed once, each venue's executors also behind an intent and an order, and one of them is frozen. */
function killRound(
  from: number,
  { targets, brokers }: Pick<PlanArguments, "targets" | "brokers">,
  random: Random,
): Action[] {
  /** The first and last few seconds are left alone, so that rounds do not pile up. */
  const within = (first: number, last: number) => tenths(from + first + random.next() * (last - first));
  const actions: Action[] = targets.map(({ name }) => ({
    at: within(1, roundSeconds - 8),
    kind: "kill",
    process: name,
    trigger: "now",
  }));
  for (const venue of new Set(targets.flatMap((target) => target.venue ?? []))) {
    const replicas = targets.filter((target) => target.venue === venue).map(({ name }) => name) as [string];
    // While the group waits for the dead one, commands pile up; the frozen one is caught in the middle of them.
    const frozen = random.pick(replicas);
    const at = within(1, 4);
    for (const process of replicas.filter((name) => name !== frozen))
      actions.push({ at, kind: "kill", process, trigger: "now" });
    actions.push({
      at: tenths(at + sessionTimeoutSeconds / 2),
      kind: "freeze",
      process: frozen,
      trigger: "intent",
      seconds: sessionTimeoutSeconds + random.integer(2, 4),
    });
    for (const trigger of ["intent", "order"] as const) {
      actions.push({
        at: within(1, roundSeconds - 8),
        kind: "kill",
        process: random.pick(replicas),
        trigger,
      });
    }
  }
  actions.push({
    at: within(2, roundSeconds / 2),
    kind: "broker",
    broker: random.integer(0, brokers - 1),
    seconds: random.integer(2, 8),
  });
  return actions;
}

/** Only what the missing safeguard is there for, and often. */
function mutantPlan({ loadSeconds, targets, mutation }: PlanArguments, random: Random): Plan {
  const actions: Action[] = [];
  const executors = targets.filter(({ venue }) => venue !== undefined).map(({ name }) => name);
  if (mutation === "no-intent") {
    for (let at = 2; at < loadSeconds - 2; at += 3) {
      for (const process of executors) {
        actions.push({ at: tenths(at + random.next()), kind: "kill", process, trigger: "order" });
      }
    }
  } else {
    // One after the other: somebody has to be awake to take over.
    let at = 2;
    for (const process of executors) {
      actions.push({
        at: tenths(at + random.next()),
        kind: "freeze",
        process,
        trigger: "intent",
        seconds: sessionTimeoutSeconds + 3,
      });
      at += sessionTimeoutSeconds + 8;
    }
  }
  const seconds = Math.max(loadSeconds, ...actions.map(({ at }) => at + 1));
  return { actions: actions.sort((a, b) => a.at - b.at), orderlyUntil: 0, seconds: tenths(seconds) };
}
