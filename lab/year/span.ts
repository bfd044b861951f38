/** A span of days of one stack, played from its first start to the night behind its last day. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import type { TradingDay } from "../../ops/calendar/trading-day.ts";
import { plusDays } from "../../ops/calendar/zoned-time.ts";
import type { StackEngine } from "../../ops/engine/stack-engine.ts";
import { planCapacity } from "../../ops/plan/plan.ts";
import type { Bundle } from "../program-bundle.ts";
import { projectDirectory } from "../directories.ts";
import type { LabObjectStore } from "../objectstore/index.ts";
import { createRandom } from "../session/random.ts";
import { planBreakage, type Stock, stockOf } from "./breakage.ts";
import { costOfDay, type DayCost, type IdealPrice, itemsByDate } from "./cost.ts";
import { type DayFault, describeFault, faultsOf, type Job } from "./faults.ts";
import { runGuard } from "./guard-run.ts";
import { type DayJobArguments, runDayJob, withParts } from "./job-run.ts";
import { type DayVerdict, type Finding, Judge } from "./judge.ts";
import type { KillableJob } from "./killable-job.ts";
import type { YearOptions, YearStack } from "./options.ts";
import type { ReceivedNotice } from "./people.ts";
import { type Schedules, startsOf } from "./starts.ts";
import { engineSpeed, YearWorld } from "./world.ts";

/** One run of a job. */
export interface JobRecord {
  job: Job;
  began: Date;
  ended: Date;
  /** What it said in the end, or why it failed. */
  said: string;
  end: "ok" | "failed" | "killed";
}

/** A day, as the report shows it. */
export interface DayRecord {
  date: string;
  stack: YearStack;
  /** Null when it is no trading day. */
  tradingDay: TradingDay | null;
  faults: string[];
  verdict: DayVerdict | null;
  /** Runs that did something or failed; a word that nothing was to be done is not kept. */
  jobs: JobRecord[];
  notices: ReceivedNotice[];
  cost: DayCost;
  findings: Finding[];
}

/** What a span came to. */
export interface SpanResult {
  days: DayRecord[];
  findings: Finding[];
}

/** Arguments of {@link playSpan}. */
export interface SpanArguments {
  options: YearOptions;
  stack: YearStack;
  /** First and last date, both inclusive. */
  first: string;
  last: string;
  /** With a bucket of its own: spans are other times of the same stack, and know nothing of each other. */
  store: LabObjectStore;
  bundle: Bundle;
  schedules: Schedules;
  /** Folder of its own; removed in the end. */
  directory: string;
  signal: AbortSignal;
  /** Told when a day is over. */
  onDay: (date: string, line: string) => void;
}

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
/** Everything of a day is over then, UTC on the date behind it: the guard looks at 04:53 for the last time. */
const nightEndsMs = 6 * hourMs;
/** Real ms that a killed runner's process may take when its moment never comes. */
const killableDeadlineMs = 240_000;

/** Plays it. @throws the signal's reason; what starting a world throws */
export async function playSpan(args: SpanArguments): Promise<SpanResult> {
  const { stack, store, directory, first, signal } = args;
  const judge = new Judge(stack, store);
  const world = await YearWorld.start({
    store,
    stack,
    directory,
    startTime: new Date(`${first}T00:00:00Z`),
    onServerDeleted: (server) => judge.onServerDeleted(server),
    signal,
  });
  try {
    return await new Span(args, world, judge).play();
  } finally {
    await world.stop();
  }
}

class Span {
  readonly #args: SpanArguments;
  readonly #world: YearWorld;
  readonly #judge: Judge;
  readonly #jobs: JobRecord[] = [];
  readonly #verdicts = new Map<string, DayVerdict>();
  /** Faults of runners that have not hit yet, by date. */
  readonly #kills = new Map<string, (DayFault & { kind: "runner-killed" })[]>();
  #runs = 0;

  constructor(args: SpanArguments, world: YearWorld, judge: Judge) {
    this.#args = args;
    this.#world = world;
    this.#judge = judge;
  }

  async play(): Promise<SpanResult> {
    const { first, last, signal } = this.#args;
    const { agenda } = this.#world;
    const { price, stock } = await this.#firstChoice();
    const days = new Map<string, { day: TradingDay | undefined; faults: DayFault[] }>();
    for (let date = first; date <= last; date = plusDays(date, 1)) {
      const day = await this.#world.calendar.dayOf(date);
      const faults = day === undefined ? [] : this.#faultsOf(date);
      days.set(date, { day, faults });
      this.#plan(date, day, faults, stock);
      await agenda.pass(midnightAfter(date), "idle", signal);
      signal.throwIfAborted();
    }
    // The guard's starts of the last night.
    this.#plan(plusDays(last, 1), undefined, [], stock, nightEndsMs);
    await agenda.pass(new Date(midnightAfter(last).getTime() + nightEndsMs + minuteMs), "idle", signal);
    signal.throwIfAborted();
    await this.#judge.demandAllSealed(this.#world);
    return this.#result(days, price);
  }

  #faultsOf(date: string): DayFault[] {
    const { options, stack } = this.#args;
    return faultsOf(options.seed, stack, date, options.density);
  }

  /** Puts a date on the agenda. @param untilMs only starts before so many ms of the date. Default: all */
  #plan(
    date: string,
    day: TradingDay | undefined,
    faults: readonly DayFault[],
    stock: Stock,
    untilMs = 24 * hourMs,
  ): void {
    const { options, stack, schedules } = this.#args;
    const { agenda } = this.#world;
    const matters = day && {
      open: new Date(day.beginsAt.getTime() - schedules.open.mostWaitMs),
      close: new Date(day.closesAt.getTime() - schedules.close.mostWaitMs),
    };
    const end = Date.parse(`${date}T00:00:00Z`) + untilMs;
    for (const { job, at } of startsOf({ seed: options.seed, stack, date, schedules, faults, matters })) {
      if (at.getTime() >= end && untilMs < 24 * hourMs) continue;
      if (job === "guard") {
        if (options.mutation !== "no-guard") agenda.add(at, "watch", () => this.#guard());
      } else agenda.add(at, "job", () => this.#dayJob(job, date, day));
    }
    if (day === undefined) return;
    const kills = faults.filter((fault) => fault.kind === "runner-killed");
    this.#kills.set(date, kills);
    planBreakage(this.#world, day, faults, stock);
    this.#planJudgement(day, faults);
  }

  /** The looks from outside. */
  #planJudgement(day: TradingDay, faults: readonly DayFault[]): void {
    const { agenda } = this.#world;
    const seen = { opened: false, gone: false };
    agenda.add(day.bell, "moment", async () => {
      seen.opened = await this.#judge.isOpen(this.#world, day);
    });
    agenda.add(day.deadline, "moment", () => {
      seen.gone = this.#judge.leftOf(this.#world, day.date).length === 0;
    });
    const night = new Date(midnightAfter(day.date).getTime() + nightEndsMs);
    agenda.add(night, "moment", () => {
      const verdict = this.#judge.judgeDay(this.#world.people, day, seen);
      this.#verdicts.set(day.date, verdict);
      this.#judge.demandNothingLeft(this.#world, day.date);
      const what = [
        verdict.opened ? "opened" : "not opened",
        ...(verdict.gone ? [] : ["late gone"]),
        ...faults.map(describeFault),
        ...verdict.told.map((told) => `told (${told})`),
      ];
      this.#args.onDay(day.date, what.join("; "));
    });
  }

  /** A start of `open` or `close`. */
  async #dayJob(job: "open" | "close", date: string, day: TradingDay | undefined): Promise<void> {
    const kill = this.#killOf(job, date, day);
    const began = this.#world.now();
    if (this.#args.options.mutation === "close-without-seal" && job === "close") {
      await this.#removeUnsealed(day);
      return;
    }
    await this.#record(job, began, () =>
      kill === undefined || day === undefined
        ? runDayJob(this.#jobArguments(job, date))
        : this.#runAndKill(job, date, day, kill.nth),
    );
  }

  /** The kill that hits this start, if it is the first one that has something to do. */
  #killOf(job: "open" | "close", date: string, day: TradingDay | undefined) {
    const moment = job === "open" ? day?.beginsAt : day?.closesAt;
    const kills = this.#kills.get(date);
    const index = kills?.findIndex((fault) => fault.job === job) ?? -1;
    if (moment === undefined || kills === undefined || index < 0) return undefined;
    if (this.#world.now().getTime() + this.#args.schedules[job].mostWaitMs < moment.getTime())
      return undefined;
    return kills.splice(index, 1)[0];
  }

  #jobArguments(job: "open" | "close", date: string): DayJobArguments {
    const world = this.#world;
    return {
      job,
      engine: world.engineOptions(this.#args.bundle.projectDirectory, this.#environment()),
      engineSpeed,
      environment: this.#environment(),
      calendar: world.calendar,
      mostWaitMs: this.#args.schedules[job].mostWaitMs,
      now: world.now,
      pause: world.pause,
      signal: this.#args.signal,
      note: () => undefined,
      around: (engine) => this.#takesTime(engine, date),
    };
  }

  #environment(): Record<string, string> {
    // Real seconds. Archivers answer at once, on a loaded machine later; where the mutant was, none is left to answer.
    const seconds = this.#args.options.mutation === "close-without-seal" ? "5" : "120";
    return { ...this.#world.people.environment, GATE_TIMEOUT_SECONDS: seconds };
  }

  /** On the year's clock, runs take minutes: about what lab/hetzner/durations.ts adds up to for the real cloud. */
  #takesTime(engine: StackEngine, date: string): StackEngine {
    const random = createRandom(this.#args.options.seed, `run ${this.#runs++} of ${date}`);
    const take = (minutes: number): Promise<void> =>
      this.#world.agenda.pass(
        new Date(this.#world.now().getTime() + minutes * minuteMs),
        "working",
        this.#args.signal,
      );
    return {
      ...engine,
      up: async (run) => {
        try {
          return await engine.up(run);
        } finally {
          await take(5 + random.next() * 4);
        }
      },
      destroy: async (run) => {
        await take(2 + random.next() * 2);
        return engine.destroy(run);
      },
    };
  }

  async #record(job: Job, began: Date, work: () => Promise<string>): Promise<void> {
    const add = (end: JobRecord["end"], said: string): void =>
      void this.#jobs.push({ job, began, ended: this.#world.now(), end, said });
    try {
      const said = await work();
      if (said.startsWith("killed")) add("killed", said);
      // The command's exit code is 1.
      else if (/^(missed|not-known)/.test(said)) add("failed", said);
      else if (!/^(too-early|no-trading-day|nothing-open|already-open|fine)/.test(said)) add("ok", said);
    } catch (error) {
      this.#args.signal.throwIfAborted();
      add("failed", error instanceof Error ? error.message : String(error));
    }
  }

  async #guard(): Promise<void> {
    const began = this.#world.now();
    const look = (close: boolean) => () => runGuard({ ...this.#jobArguments("close", dateOf(began)), close });
    let found = false;
    await this.#record("guard", began, async () => {
      const said = await look(false)();
      found = !said.startsWith("fine");
      return said;
    });
    const failed = this.#jobs.at(-1)?.began === began && this.#jobs.at(-1)?.end === "failed";
    if (!found && !failed) return;
    // As the workflow does: what is found is closed in turn with the other jobs.
    this.#world.agenda.add(this.#world.now(), "job", () =>
      this.#record("guard", this.#world.now(), look(true)),
    );
  }

  /** Runs a job in a process of its own, which is killed at the n-th answer of Hetzner's API. */
  async #runAndKill(job: "open" | "close", date: string, day: TradingDay, nth: number): Promise<string> {
    const world = this.#world;
    const { agenda } = world;
    const { bundle, directory, signal } = this.#args;
    await agenda.pass(job === "open" ? day.beginsAt : day.closesAt, "waiting", signal);
    const { engine, environment, mostWaitMs } = this.#jobArguments(job, date);
    const told: KillableJob = {
      job,
      engine,
      engineSpeed,
      environment,
      mostWaitMs,
      schedule: world.calendar.schedule,
      startsAt: world.now().getTime(),
    };
    const file = path.join(directory, "killable-job.json");
    writeFileSync(file, JSON.stringify(told), { mode: 0o600 });
    const child = spawn(process.execPath, [bundle.child, file], {
      cwd: bundle.projectDirectory,
      stdio: ["ignore", "pipe", "ignore"],
      detached: true,
    });
    const kill = (): void => {
      if (child.pid !== undefined && child.exitCode === null && child.signalCode === null)
        process.kill(-child.pid, "SIGKILL");
    };
    let answers = 0;
    world.onAnswer = () => {
      if (++answers === nth) kill();
    };
    const late = setTimeout(kill, killableDeadlineMs);
    signal.addEventListener("abort", kill);
    let said = "";
    child.stdout.on("data", (chunk: Buffer) => (said += chunk.toString()));
    try {
      const [code, by] = (await once(child, "close")) as [number | null, NodeJS.Signals | null];
      signal.throwIfAborted();
      await agenda.pass(new Date(world.now().getTime() + 5 * minuteMs), "working", signal);
      if (by !== null) return `killed at request ${Math.min(answers, nth)}`;
      if (code !== 0) throw new Error(said.trim());
      return said.trim();
    } finally {
      clearTimeout(late);
      signal.removeEventListener("abort", kill);
      world.onAnswer = () => undefined;
      rmSync(file, { force: true });
    }
  }

  /** The mutant: what is there at the closing time is deleted, whatever it holds. */
  async #removeUnsealed(day: TradingDay | undefined): Promise<void> {
    const world = this.#world;
    if (day === undefined) return;
    const left = day.closesAt.getTime() - world.now().getTime();
    if (left > this.#args.schedules.close.mostWaitMs) return;
    if (left > 0) await world.agenda.pass(day.closesAt, "waiting", this.#args.signal);
    for (const { id } of world.hetzner.project.servers()) {
      await fetch(`${world.hetzner.endpoint}/servers/${id}`, {
        method: "DELETE",
        headers: { authorization: `Bearer ${world.hetzner.token}` },
      });
    }
  }

  /** What an ideal day is made of, from the account before anything is wrong. */
  async #firstChoice(): Promise<{ price: IdealPrice; stock: Stock }> {
    const world = this.#world;
    return withParts(
      {
        ...this.#jobArguments("open", this.#args.first),
        engine: world.engineOptions(projectDirectory, {}),
        around: (engine) => engine,
      },
      async ({ client, config, stack }) => {
        const plan = await planCapacity(client, stack, config);
        const [choice] = plan.choices;
        if (choice === undefined) throw new Error("the simulated account offers nothing at the start");
        const { location, brokerServerType, controlPlaneServerType } = choice;
        const [types, pricing] = await Promise.all([client.serverTypes(), client.pricing()]);
        const server = (name: string): number =>
          Number(
            types.find((type) => type.name === name)?.prices.find((price) => price.location === location)
              ?.price_hourly.net,
          );
        const address = Number(
          pricing.primary_ips
            .find(({ type }) => type === "ipv4")
            ?.prices.find((price) => price.location === location)?.price_hourly.net,
        );
        const each = new Map<string, number>([
          ...[0, 1, 2].map((n): [string, number] => [`server ${stack}-kafka-${n}`, server(brokerServerType)]),
          [`server ${stack}-k3s-control`, server(controlPlaneServerType)],
        ]);
        each.set("address", each.size * address);
        const total = [...each.values()].reduce((sum, euro) => sum + euro, 0);
        const stock = await stockOf(client, { type: brokerServerType, location });
        return { price: { total, each }, stock };
      },
    );
  }

  #result(
    planned: ReadonlyMap<string, { day: TradingDay | undefined; faults: DayFault[] }>,
    price: IdealPrice,
  ): SpanResult {
    const world = this.#world;
    const bill = world.hetzner.project.bill();
    const items = itemsByDate(bill.items);
    const costs = new Map(
      [...planned].map(([date, { day, faults }]) => [
        date,
        costOfDay(date, day, items.get(date) ?? [], faults, price, bill.until),
      ]),
    );
    for (const [date, { extras }] of costs) {
      for (const { category, euro, hours, because } of extras) {
        if (because.length > 0) continue;
        this.#judge.unexplained(
          date,
          `${euro.toFixed(4)} EUR (${hours} started hours) ${category}, and no fault of the day can cause that`,
        );
      }
    }
    const { findings } = this.#judge;
    const days = [...planned].map(([date, { day, faults }]): DayRecord => {
      const isOfDate = ({ at }: { at: Date }) => dateOf(at) === date;
      return {
        date,
        stack: this.#args.stack,
        tradingDay: day ?? null,
        faults: faults.map(describeFault),
        verdict: this.#verdicts.get(date) ?? null,
        jobs: this.#jobs.filter(({ began }) => dateOf(began) === date),
        notices: world.people.notices.filter(isOfDate),
        cost: costs.get(date) ?? { date, euro: 0, ideal: 0, extras: [] },
        findings: findings.filter((finding) => finding.date === date),
      };
    });
    return { days, findings };
  }
}

const dateOf = (moment: Date): string => moment.toISOString().slice(0, 10);
const midnightAfter = (date: string): Date => new Date(`${plusDays(date, 1)}T00:00:00Z`);
