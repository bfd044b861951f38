/** One chaos run from the first broker to the verdict. */
import { setMaxListeners } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { writeFileSync } from "node:fs";
import path from "node:path";
import type { Progress } from "../day/progress.ts";
import { LabError } from "../errors.ts";
import type { ProcessRegistry } from "../processes.ts";
import { carryOut, type Deeds } from "./actions.ts";
import { drain } from "./drain.ts";
import { judge, type Verdict } from "./judge/index.ts";
import { type Market, startMarket } from "./load.ts";
import type { ChaosOptions } from "./options.ts";
import { makePlan, type Plan } from "./plan.ts";
import { Poisoner, poisonKinds } from "./poison.ts";
import { readEverything, Tap } from "./tap.ts";
import { Watch } from "./watch.ts";
import { ChaosWorld, names, podsOf } from "./world.ts";

/** Longest start of all services on a loaded machine. */
const startMs = 180_000;
/** After the load: the last deadlines (about 25 s), and the drain. */
const drainMs = 180_000;
/** Mutated executors may have made a journal that no executor starts with: what they did is in the books by then. */
const mutantDrainMs = 40_000;
const readMs = 60_000;
/** After the drain: longer than any command's deadline. */
const settleMs = 60_000;
/** How much longer than planned the load may take, as a factor and in seconds. */
const patience = { factor: 4, seconds: 120 };
/** Longest time to end everything in order; what is left then, the registry ends by force. */
const cleanUpMs = 60_000;
const reportEveryMs = 2_000;
const brokers = 3;

/** How a run ended. */
export interface Outcome {
  ok: boolean;
  plan: Plan;
  verdict: Verdict;
  deeds: Deeds;
  /** Exits that nobody asked for, by process. */
  crashes: Record<string, number>;
  faults: { alpaca: Record<string, number>; "near-intents": Record<string, number> };
  seconds: number;
}

/** Arguments of {@link runChaos}. */
export interface RunArguments {
  options: ChaosOptions;
  directory: string;
  registry: ProcessRegistry;
  progress: Progress;
  signal: AbortSignal;
}

/**
 * Runs it.
 * @throws LabError when the run could not be carried through, for example because the load did not get on.
 */
export async function runChaos(args: RunArguments): Promise<Outcome> {
  const { options, directory, registry, progress, signal } = args;
  const pods = podsOf(options.mutation);
  const plan = makePlan({
    seed: options.seed,
    loadSeconds: Math.ceil(options.commands / options.rate),
    targets: pods,
    brokers,
    poisons: poisonKinds,
    mutation: options.mutation,
  });
  const deeds: Deeds = { kills: 0, freezes: 0, replacements: 0, mistakes: [] };
  const crashes: Record<string, number> = {};
  progress.phase(`Starting ${brokers} brokers, the venues and ${pods.length} services`);
  const world = await ChaosWorld.start({
    directory,
    registry,
    seed: options.seed,
    pods,
    faults: options.mutation === undefined,
    onProgress: (line) => progress.line(line),
    onCrash: (name, code) => {
      crashes[name] = (crashes[name] ?? 0) + 1;
      progress.line(`${name} exited with ${String(code)} although nobody ended it; it is started again`);
    },
    signal,
  });
  const watch = new Watch();
  const tap = new Tap(world.client, world.logger, (record) => watch.take(record));
  const poisoner = new Poisoner(world.client, { raw: names.rawNear, command: names.commands });
  try {
    await Promise.all([tap.start(), poisoner.connect()]);
    await startServices(world, signal);
    progress.phase(`${plan.actions.length} actions in ${plan.seconds} s, ${options.commands} commands`);
    const near = pods.some(({ venue }) => venue === "near-intents");
    const market = startMarket({
      ...world,
      near: world.near,
      alpaca: world.alpaca,
      seed: options.seed,
      nearRate: near ? options.rate / 2 : 0,
      alpacaRate: near ? options.rate / 2 : options.rate,
    });
    const orderlyUntil = await holdLoad({ ...args, world, plan, watch, poisoner, deeds, market });
    progress.phase("The market is closed: draining");
    const silent = await withReports(args, watch, deeds, async () =>
      drain({
        kafka: world.client,
        records: tap.records,
        services: [...new Set(pods.map(({ deployable }) => deployable.name))],
        deadlineMs: options.mutation === undefined ? drainMs : mutantDrainMs,
        signal,
      }),
    );
    if (silent.length > 0) {
      deeds.mistakes.push(`not drained in time: ${silent.join(", ")}`);
    }
    await tap.readToEnds(readMs);
    if (watch.results < watch.commands) {
      deeds.mistakes.push(
        `the services said that they had drained, but ${watch.commands - watch.results} commands had no result yet`,
      );
      // Whether they are late or lost is another question.
      if (options.mutation === undefined) await withReports(args, watch, deeds, () => settle(watch, signal));
    }
    await tap.readToEnds(readMs);
    progress.phase("Judging");
    const final = await readEverything(world.client, world.logger, readMs);
    const verdict = judge({
      records: final.records,
      seen: tap.records,
      tapMistakes: [...tap.mistakes, ...final.mistakes],
      poison: poisoner.records,
      market,
      kills: killsByTopic(world),
      orderlyUntil,
      orders: world.alpaca.orders(),
      repeatedOrders: world.alpaca.duplicateOrders(),
      near: world.near.book(),
      freezes: world.processes.flatMap(({ venue, freezes }) =>
        venue === undefined ? [] : freezes.map((freeze) => ({ venue, ...freeze })),
      ),
    });
    const outcome: Outcome = {
      ok: isGood(verdict, deeds),
      plan,
      verdict,
      deeds,
      crashes,
      faults: { alpaca: world.alpaca.faultCounts(), "near-intents": world.near.faultCounts() },
      seconds: progress.seconds,
    };
    writeFileSync(path.join(directory, "evidence.json"), `${JSON.stringify(outcome, undefined, 2)}\n`);
    return outcome;
  } finally {
    const parts = async () => {
      // Interrupted, nobody waits for orderly stops.
      if (signal.aborted) await registry.close(0);
      await Promise.all(world.processes.map((process) => process.stop()));
      await Promise.allSettled([tap.stop(), poisoner.disconnect()]);
      await world.stop();
    };
    await Promise.race([parts(), delay(cleanUpMs, undefined, { ref: false })]);
  }
}

async function startServices(world: ChaosWorld, signal: AbortSignal): Promise<void> {
  for (const process of world.processes) {
    signal.throwIfAborted();
    await process.start();
  }
  const late = delay(startMs, undefined, { signal, ref: false }).then(() => {
    const names = world.processes.filter(({ isReady }) => !isReady).map(({ name }) => name);
    throw new LabError(`not ready after ${startMs / 1_000} s: ${names.join(", ")}; see their logs`);
  });
  late.catch(() => undefined);
  await Promise.race([late, Promise.all(world.processes.map(({ ready }) => ready))]);
}

/** Waits until every command has a result, as long as any deadline may run. */
async function settle(watch: Watch, signal: AbortSignal): Promise<void> {
  const end = performance.now() + settleMs;
  while (watch.results < watch.commands && performance.now() < end) {
    await delay(100, undefined, { signal });
  }
}

interface LoadArguments extends RunArguments {
  world: ChaosWorld;
  plan: Plan;
  watch: Watch;
  poisoner: Poisoner;
  deeds: Deeds;
  market: Market;
}

/**
 * Carries the plan out while the market runs, until it is done and there are commands enough.
 * @returns until when processes were only replaced in order, milliseconds since the epoch.
 */
async function holdLoad(args: LoadArguments): Promise<number> {
  const { options, plan, watch, market, progress, deeds } = args;
  const limitMs = 1_000 * (plan.seconds * patience.factor + patience.seconds);
  const abort = new AbortController();
  const signal = AbortSignal.any([args.signal, abort.signal]);
  // Every action of the plan waits with it.
  setMaxListeners(0, signal);
  const hold = async () => {
    const orderlyEnd = await carryOut({ ...args, signal, onDeed: (line) => progress.line(line) });
    while (watch.commands < options.commands) await delay(100, undefined, { signal });
    return orderlyEnd;
  };
  const late = delay(limitMs, undefined, { signal, ref: false }).then((): never => {
    throw new LabError(
      `the load did not get on: ${watch.commands} of ${options.commands} commands after ${limitMs / 1_000} s`,
    );
  });
  late.catch(() => undefined);
  try {
    return await withReports(args, watch, deeds, () =>
      Promise.race([
        hold(),
        late,
        market.stopped.then(() => Promise.reject(new Error("the market stopped"))),
      ]),
    );
  } finally {
    abort.abort();
    market.stop();
    await market.stopped.catch(() => undefined);
  }
}

/** A line every two seconds while something goes on. */
async function withReports<Result>(
  { progress }: RunArguments,
  watch: Watch,
  deeds: Deeds,
  work: () => Promise<Result>,
): Promise<Result> {
  const report = () =>
    progress.line(
      `${watch.raw} raw, ${watch.commands} commands, ${watch.results} results, ` +
        `${deeds.kills} kills, ${deeds.replacements} replacements, ${deeds.freezes} freezes`,
    );
  const timer = setInterval(report, reportEveryMs);
  try {
    return await work();
  } finally {
    clearInterval(timer);
    report();
  }
}

function killsByTopic(world: ChaosWorld): Record<string, number[]> {
  const of = (service: string) =>
    world.processes.filter((process) => process.service === service).flatMap(({ kills }) => kills);
  return {
    [names.rawNear]: of("ingest-near-intents"),
    [names.rawAlpaca]: of("ingestion-alpaca-stockstream-api"),
  };
}

function isGood({ duplicates, lost, violations }: Verdict, { mistakes }: Deeds): boolean {
  return [duplicates, lost, violations, mistakes].every(({ length }) => length === 0);
}
