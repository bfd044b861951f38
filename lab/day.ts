/** `npm start`: one whole trading day in the lab, from an empty project to an empty project. */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { openArchive } from "../services/archive/index.ts";
import { parseStackConfig, StackConfigError } from "../stacks/config.ts";
import { closeDay, writeReport } from "./day/close.ts";
import { type DayEngine, openEngine, type StackOutputs } from "./day/engines.ts";
import { playSession } from "./day/market.ts";
import { type DayOptions, parseDayOptions, usage } from "./day/options.ts";
import { type DayKubernetes, installKubernetes, startKubernetes } from "./day/kubernetes.ts";
import { evidenceEnvironment } from "./day/evidence.ts";
import { readExposure, type ServerExposure } from "./day/exposure.ts";
import { Progress } from "./day/progress.ts";
import { dayShape, labStackConfiguration, type StackConfiguration } from "./day/stack-config.ts";
import { type DaySummary, describeSummary, emptySummary, type Phase } from "./day/summary.ts";
import { describeTradingReady, readTradingReady, waitForTradingReady } from "./day/trading-ready.ts";
import { type PipelineWatch, watchPipeline } from "./day/watch.ts";
import { announcements, startWorld, type World, writeEndpoints } from "./day/world.ts";
import { labDirectories, labFiles, projectDirectory } from "./directories.ts";
import { describeError, exitCodes, LabError } from "./errors.ts";
import { installKafka, type LabKafka, startKafka } from "./kafka/index.ts";
import { acquireLock, type ReleaseLock } from "./lock.ts";
import { lockArchive } from "./parts.ts";
import { installObjectStore } from "./objectstore/index.ts";
import { checkPrerequisites } from "./prerequisites.ts";
import { ProcessRegistry } from "./processes.ts";
import { sameSignalMs } from "../ops/run.ts";
import { createSession, FeedError, type Session } from "./session/index.ts";
import { startWorkloads, type Workloads } from "./workloads/index.ts";

/** The gate waits this long for the seal: longer than the archiver waits for the drain, so that its reason is heard. */
const gateTimeoutSeconds = "420";

/** What exists of a day so far. Each field is filled as its part comes up. */
export interface Day {
  options: DayOptions;
  progress: Progress;
  registry: ProcessRegistry;
  summary: DaySummary;
  /** Aborted by the first Ctrl-C: no new work, seal and destroy what is there. */
  interruption: AbortSignal;
  /** Does one phase of the day and writes its seconds into the summary. */
  measure<T>(phase: Phase, work: () => Promise<T>): Promise<T>;
  session?: Session;
  world?: World;
  configuration?: StackConfiguration;
  engine?: DayEngine;
  outputs?: StackOutputs;
  kubernetes?: DayKubernetes;
  kafka?: LabKafka;
  workloads?: Workloads;
  watch?: PipelineWatch;
  exposure?: ServerExposure[];
  /** Messages that the venues sent. */
  sent: number;
}

async function setUp(day: Day): Promise<void> {
  const { options, progress, registry } = day;
  const shape = dayShape(projectDirectory, options.stack, options);
  day.summary.profile = shape.profile;
  progress.phase("Setting up the lab");
  await checkPrerequisites();
  await Promise.all([
    installKafka(labDirectories.cache, (line) => progress.line(line), registry),
    installObjectStore(labDirectories.cache, (line) => progress.line(line), registry),
    ...(options.kubernetes === "real" ? [installKubernetes(day)] : []),
  ]);
  day.interruption.throwIfAborted();
  const session = await createSession({ events: options.events, seed: options.seed, feedFile: options.feed });
  day.session = session;
  const world = await startWorld(registry, session.symbols, options.seed, shape.brokers);
  day.world = world;
  writeEndpoints(announcements(world));
  const configuration = labStackConfiguration(
    projectDirectory,
    options.stack,
    world.endpoints,
    shape.profile,
  );
  parseStackConfig(configuration.values, { encryptedKeys: configuration.secretKeys });
  day.configuration = configuration;
  if (options.kubernetes === "real") day.kubernetes = await startKubernetes(day, world, shape.profile);
  day.engine = await openEngine(options.engine, {
    projectDirectory,
    stack: options.stack,
    configuration,
    environment: { GATE_TIMEOUT_SECONDS: gateTimeoutSeconds },
    registry,
    progress,
    ...(day.kubernetes === undefined ? {} : { kubernetes: day.kubernetes.life }),
  });
  if (session.events < options.events)
    progress.line(`the feed is short: the day has ${session.events} events instead of ${options.events}`);
  progress.line(
    `${session.alpacaMessages.length} Alpaca messages and ${session.nearQuotes.length} NEAR quotes are ready`,
  );
}

async function bringUp(day: Day): Promise<void> {
  const { options, progress, registry, engine, world } = day;
  if (engine === undefined || world === undefined) throw new Error("bringUp before setUp");
  const began = progress.seconds;
  progress.phase(
    `Bringing up the ${options.stack} stack (${day.summary.profile}) with the ${options.engine} engine`,
  );
  try {
    const { outputs, created } = await engine.up(day.interruption);
    day.outputs = outputs;
    day.summary.resources.created = created;
  } catch (error) {
    day.summary.resources.created = engine.timeline.filter(({ operation }) => operation === "create").length;
    throw error;
  }
  const { outputs } = day;
  const { created } = day.summary.resources;
  day.exposure = await readExposure(world.endpoints.hetzner);
  progress.line(`${created} resources created; starting Kafka ${outputs.clusterId}`);
  day.kafka = await startKafka({
    directory: labDirectories.kafka,
    cacheDirectory: labDirectories.cache,
    registry,
    clusterId: outputs.clusterId,
    firstPort: world.kafkaPort,
    brokers: world.endpoints.kafka.brokers.length === 1 ? 1 : 3,
    onProgress: (line) => progress.line(line),
    signal: day.interruption,
  });
  writeEndpoints(announcements(world, day.kafka));
  day.interruption.throwIfAborted();
  if (day.kubernetes !== undefined) progress.line(await day.kubernetes.settled(day.interruption));
  progress.line("starting the services from the stack's manifests");
  day.workloads = await startWorkloads({
    objects: (await day.kubernetes?.objects()) ?? labDirectories.rendered,
    registry,
    logDirectory: labDirectories.logs,
    volumeDirectory: labDirectories.volumes,
    workingDirectory: projectDirectory,
    environment: (workload, pods) =>
      workload === "archiver" ? evidenceEnvironment(labDirectories.logs, pods) : {},
    onEvent: (line) => progress.line(line),
  });
  day.watch = await watchPipeline(world.endpoints.kafka.brokers, outputs.businessDate);
  await day.workloads.ready();
  progress.line("waiting for the monitor's canaries to come through");
  await waitForTradingReady(day.watch, day.workloads, day.interruption);
  day.summary.trading_ready_seconds = progress.seconds - began;
  const { businessDate, clusterId } = outputs;
  const archive = openArchive(world.endpoints.s3, { stack: options.stack, businessDate, clusterId });
  try {
    progress.line(describeTradingReady(await readTradingReady(archive, day.interruption)));
  } finally {
    archive.store.close();
  }
}

async function holdSession(day: Day): Promise<void> {
  const { progress, session, world, watch, outputs } = day;
  if (session === undefined || world === undefined || watch === undefined || outputs === undefined)
    throw new Error("no cluster is up");
  progress.phase(`Market session of ${outputs.businessDate}`);
  const { rate } = day.options;
  day.sent = await playSession({ world, session, watch, rate, progress, signal: day.interruption });
}

/** With --keep: waits for Ctrl-C, which then is the expected end of the day. */
async function holdOpen(day: Day): Promise<void> {
  day.progress.phase(`The cluster stays up until Ctrl-C; endpoints and credentials: ${labFiles.endpoints}`);
  const { interruption } = day;
  if (!interruption.aborted)
    await new Promise((resolve) => interruption.addEventListener("abort", resolve, { once: true }));
}

/** Folders of the last day that this one starts afresh. The archive and the downloads stay. */
function clearLastDay(): void {
  for (const directory of [
    labDirectories.rendered,
    labDirectories.kafka,
    labDirectories.volumes,
    labDirectories.logs,
    labDirectories.state,
    labDirectories.kubernetes,
  ]) {
    rmSync(directory, { recursive: true, force: true });
  }
  for (const file of [labFiles.summary, labFiles.report, labFiles.endpoints]) rmSync(file, { force: true });
}

async function runDay(
  options: DayOptions,
  registry: ProcessRegistry,
  interruption: AbortSignal,
): Promise<number> {
  const progress = new Progress(options.json ? process.stderr : process.stdout);
  const summary = emptySummary(options.stack, options.engine);
  const day: Day = {
    options,
    progress,
    registry,
    summary,
    interruption,
    sent: 0,
    measure: async (phase, work) => {
      const began = progress.seconds;
      try {
        return await work();
      } finally {
        summary.seconds[phase] = progress.seconds - began;
      }
    },
  };
  let exitCode: number = exitCodes.failed;
  let wasKept = false;
  try {
    await day.measure("setup", () => setUp(day));
    await day.measure("up", () => bringUp(day));
    await day.measure("session", () => holdSession(day));
    if (options.keep && !interruption.aborted) {
      wasKept = true;
      await holdOpen(day);
    }
  } catch (error) {
    if (!interruption.aborted) {
      summary.error = describeError(error);
      progress.line(`failed: ${summary.error.split("\n", 1)[0]}`);
      if (error instanceof LabError) exitCode = error.exitCode;
      if (error instanceof StackConfigError || error instanceof FeedError) exitCode = exitCodes.usage;
    }
  }
  const { held, counts } = await closeDay(day);
  if (interruption.aborted && !wasKept) {
    summary.error ??= "interrupted by Ctrl-C";
    exitCode = exitCodes.interrupted;
  }
  summary.ok = held && summary.error === undefined;
  if (summary.ok) exitCode = exitCodes.ok;
  summary.seconds.total = progress.seconds;
  const rounded = (seconds: number) => Math.round(seconds * 1_000) / 1_000;
  for (const [phase, seconds] of Object.entries(summary.seconds))
    summary.seconds[phase as Phase] = rounded(seconds);
  if (summary.trading_ready_seconds !== null)
    summary.trading_ready_seconds = rounded(summary.trading_ready_seconds);
  if (counts !== undefined) writeReport(day, counts);
  writeFileSync(labFiles.summary, `${JSON.stringify(summary)}\n`);
  process.stderr.write(options.json ? `\n${describeSummary(summary)}\n` : "");
  process.stdout.write(options.json ? `${JSON.stringify(summary)}\n` : `\n${describeSummary(summary)}\n`);
  return exitCode;
}

async function main(): Promise<number> {
  const options = parseDayOptions(process.argv.slice(2));
  if (options === "help") {
    console.log(usage);
    return exitCodes.ok;
  }
  mkdirSync(labDirectories.root, { recursive: true });
  const release = acquireLock(
    labFiles.lock,
    "Another day runs in this clone; wait for its end, end it with Ctrl-C, or use another clone",
  );
  const registry = new ProcessRegistry(labDirectories.processes);
  const interruption = new AbortController();
  let releaseArchive: ReleaseLock | undefined;
  let interruptedAt = 0;
  let isEnding = false;
  const interrupt = (): void => {
    if (interruption.signal.aborted) {
      if (isEnding || performance.now() - interruptedAt < sameSignalMs) return;
      isEnding = true;
      process.stderr.write("\nEnding at once; nothing more is sealed.\n");
      void registry.close(0).finally(() => {
        clearSecrets();
        releaseArchive?.();
        release();
        process.exit(exitCodes.interrupted);
      });
      return;
    }
    interruptedAt = performance.now();
    process.stderr.write("\nCtrl-C: sealing and destroying what is up. Once more ends everything at once.\n");
    interruption.abort(new LabError("interrupted by Ctrl-C", exitCodes.interrupted));
  };
  process.on("SIGINT", interrupt);
  process.on("SIGTERM", interrupt);
  process.on("SIGHUP", interrupt);
  // A reader that went away (`npm start | head`) must not end the day before it is destroyed.
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});
  try {
    releaseArchive = lockArchive();
    const ended = await registry.endLeftovers();
    if (ended.length > 0) console.error(`Ended what a killed run left behind: ${ended.join(", ")}`);
    clearLastDay();
    return await runDay(options, registry, interruption.signal);
  } finally {
    await registry.close();
    clearSecrets();
    releaseArchive?.();
    release();
  }
}

/** What is rendered may hold secrets, and the endpoints file holds the lab's. */
function clearSecrets(): void {
  rmSync(labDirectories.rendered, { recursive: true, force: true });
  rmSync(labFiles.endpoints, { force: true });
}

try {
  process.exit(await main());
} catch (error) {
  console.error(describeError(error));
  process.exit(error instanceof LabError ? error.exitCode : exitCodes.failed);
}
