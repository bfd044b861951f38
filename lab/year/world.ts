/**
 * The world of one stack over a span of simulated days: an account at the simulated Hetzner Cloud whose clock is the
 * year's, a real S3 server behind a proxy that can be told to fail, the simulated inside of the clusters, and the
 * simulated people who are told. Nothing here needs Kafka, Java or root.
 */
import { mkdirSync, rmSync } from "node:fs";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type Calendar, calendarOf, scheduleOf } from "../../ops/calendar/calendar.ts";
import { storedRules } from "../../ops/calendar/stored-rules.ts";
import type { Pause } from "../../ops/day/waiting.ts";
import { parseStackConfig, type StackConfig } from "../../stacks/config.ts";
import { ClusterInside } from "../cluster-inside/cluster-inside.ts";
import { labStackConfiguration, type StackConfiguration } from "../day/stack-config.ts";
import { projectDirectory } from "../directories.ts";
import { durations } from "../hetzner/durations.ts";
import { type Hetzner, type Latency, type ServerView, startHetzner } from "../hetzner/index.ts";
import { nobodyThere } from "../nobody-there.ts";
import { type FaultyObjectStore, type LabObjectStore, startFaults } from "../objectstore/index.ts";
import type { LabStackEngineOptions } from "../stack-engine.ts";
import { Agenda } from "./agenda.ts";
import type { YearStack } from "./options.ts";
import { SimulatedPeople } from "./people.ts";

/** How many times faster than for real the engine's pauses pass. */
export const engineSpeed = 200;

/** Everything is done at once: how long work takes on the year's clock is said by {@link Durations} of the jobs. */
const atOnce: Latency = {
  duration: (step) => durations[step].fast / (step.startsWith("deadline_") ? 1 : 10),
  pulls: { receiveMegabytesPerSecond: 1e6, unpackMegabytesPerSecond: 1e6, perImageMs: 0 },
};

/** Arguments of {@link YearWorld.start}. */
export interface WorldArguments {
  store: LabObjectStore;
  stack: YearStack;
  /** The simulated time at the start. */
  startTime: Date;
  /** Folder for state and rendered objects; made, and removed in the end. */
  directory: string;
  /** Told of the last state of every server whose deletion has ended. */
  onServerDeleted: (server: ServerView) => void;
  /** Ends everything that waits. */
  signal: AbortSignal;
}

/** See the module's description. Stop it in the end. */
export class YearWorld {
  readonly stack: YearStack;
  readonly hetzner: Hetzner;
  /** Between the S3 server and all that the stack consists of. */
  readonly bucket: FaultyObjectStore;
  readonly inside: ClusterInside;
  readonly people: SimulatedPeople;
  readonly agenda: Agenda;
  readonly calendar: Calendar;
  readonly config: StackConfig;
  readonly configuration: StackConfiguration;
  readonly stateFile: string;
  readonly signal: AbortSignal;
  /** Told of every answer of Hetzner's API; one at a time. */
  onAnswer: () => void = () => undefined;
  readonly #directory: string;

  private constructor(
    args: WorldArguments,
    parts: Pick<YearWorld, "hetzner" | "bucket" | "inside" | "people"> & { renderDirectory: string },
  ) {
    this.stack = args.stack;
    this.signal = args.signal;
    this.hetzner = parts.hetzner;
    this.bucket = parts.bucket;
    this.inside = parts.inside;
    this.people = parts.people;
    this.agenda = new Agenda(parts.hetzner.clock);
    this.#directory = args.directory;
    this.stateFile = path.join(args.directory, `${args.stack}.json`);
    this.configuration = labStackConfiguration(projectDirectory, args.stack, {
      hetzner: parts.hetzner,
      s3: { ...args.store, endpoint: parts.bucket.endpoint },
      renderDirectory: parts.renderDirectory,
      ...nobodyThere,
    });
    this.config = parseStackConfig(this.configuration.values);
    this.calendar = calendarOf(scheduleOf(this.config), storedRules);
  }

  static async start(args: WorldArguments): Promise<YearWorld> {
    const { store, directory, startTime } = args;
    mkdirSync(directory, { recursive: true });
    const renderDirectory = path.join(directory, "rendered");
    const isControlPlane = ({ labels }: Pick<ServerView, "labels">) => labels["role"] === "k3s-control";
    let hetzner: Hetzner | undefined;
    let world: YearWorld | undefined;
    const inside = new ClusterInside(
      renderDirectory,
      () => hetzner?.project.servers().some(isControlPlane) === true,
    );
    try {
      hetzner = await startHetzner({
        latency: atOnce,
        startTime,
        onAnswer: () => world?.onAnswer(),
        onServerDeleted: (server) => {
          args.onServerDeleted(server);
          if (!isControlPlane(server)) return;
          rmSync(renderDirectory, { recursive: true, force: true });
          void inside.lost();
        },
      });
      const { clock } = hetzner;
      const bucket = await startFaults(store.endpoint);
      const people = await SimulatedPeople.start(() => clock.date());
      world = new YearWorld(args, { hetzner, bucket, inside, people, renderDirectory });
      return world;
    } catch (error) {
      await inside.stop();
      await hetzner?.close();
      throw error;
    }
  }

  /** The simulated time. */
  now = (): Date => this.hetzner.clock.date();

  /** For what waits for a moment: the clock is moved ahead, and what is due meanwhile happens. */
  pause: Pause = async (milliseconds, signal) => {
    // A short one is between two looks at something that really happens.
    if (milliseconds <= shortPauseMs) await delay(realLookMs, undefined, { signal }).catch(() => undefined);
    await this.agenda.pass(new Date(this.now().getTime() + milliseconds), "waiting", signal);
  };

  /** What the lab's engine is told, as plain JSON. */
  engineOptions(project: string, environment: Record<string, string>): Omit<LabStackEngineOptions, "clock"> {
    return {
      projectDirectory: project,
      stack: this.stack,
      config: this.configuration.values,
      secretKeys: this.configuration.secretKeys,
      stateFile: this.stateFile,
      passphrase: "throwaway",
      environment,
    };
  }

  /** As when the backend with the state is gone. */
  loseState(): void {
    rmSync(this.stateFile, { force: true });
  }

  async stop(): Promise<void> {
    await this.inside.stop();
    await Promise.all([this.hetzner.close(), this.bucket.close(), this.people.close()]);
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

const shortPauseMs = 5_000;
const realLookMs = 20;
