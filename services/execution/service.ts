/** Runs the executor of a venue as a service: gates known, then partitions taken as the group gives them, then drained. */
import { startConsumer, type RunningConsumer } from "../bus/consumer.ts";
import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";
import { startDrain } from "../bus/drain.ts";
import { waitForLogEnd } from "../bus/log-end.ts";
import { connectBus, type Bus } from "../bus/stage.ts";
import { topics } from "../bus/topics.ts";
import { newYorkDate, sessionAfter } from "../core/exchange-calendar.ts";
import type { ExecutionVenue } from "../core/execution-venue.ts";
import type { ServiceContext } from "../core/service.ts";
import { fromInstant } from "../core/time.ts";
import type { ExecuteTrade } from "../core/trading.ts";
import { TradingGates } from "./gates.ts";
import { JournalView } from "./journal-view.ts";
import { executionMetrics } from "./metrics.ts";
import { openPartitionLog, Partitions, type OpenLog } from "./partitions.ts";
import { Reconciliation } from "./reconciliation.ts";
import type { RiskLimits } from "./risk.ts";
import { VenueClock } from "./venue-clock.ts";

/** How long an order may still fill, in milliseconds, before it counts as resting. */
const beforeLeavingMs = 2_000;

/** Pause between two looks whether every command has ended, in milliseconds. */
const drainLookMs = 250;

/** What becomes of orders that rest at the venue when the day closes. */
export const closingVariables = {
  /**
   * `cancel` ends them; `carry-over` leaves those alone whose deadline allows it, and the next cluster's executor reports
   * how they end.
   */
  OPEN_ORDERS_AT_CLOSE: z.enum(["cancel", "carry-over"]).default("cancel"),
};

/** How {@link startExecutor} is to run. */
export interface ExecutorArguments {
  /** What `riskVariables` parse to. */
  limits: RiskLimits;
  /** As `OPEN_ORDERS_AT_CLOSE` says. Default `cancel`. */
  openOrdersAtClose?: "cancel" | "carry-over";
  /**
   * Where journal entries and results are committed. Default: a transactional producer for each partition, which
   * fences its predecessor. Nothing in the environment changes it. An entry point of the lab can show with it that a test
   * of promise 1 is able to fail: `openTransactionalProducer` with a transactional id that nobody else has fences nobody,
   * so a frozen owner that wakes commits INTENTs and sends what its successor has sent.
   */
  openLog?: OpenLog;
}

/**
 * Starts the executor of one venue; several may run, the group splits the partitions among them. On drain it takes all
 * commands, ends orders that rest and waits until each command has its result. All state is in the journal: a disk, where
 * one is mounted, is not used.
 * @param open makes the venue's side; called after Kafka answers.
 * @throws KafkaJSError when no broker answers; JournalError when the journal cannot be understood.
 */
export async function startExecutor(
  context: ServiceContext,
  open: () => ExecutionVenue,
  { limits, openOrdersAtClose = "cancel", openLog = openPartitionLog }: ExecutorArguments,
): Promise<void> {
  const groupId = context.settings.SERVICE_NAME;
  const bus = await connectBus(context);
  const venue = open();
  context.onStop("venue", () => venue.close());
  const clock = new VenueClock(venue, context);
  await clock.start();
  const gates = new TradingGates({ venue: venue.name, limits, clock });
  const metrics = executionMetrics(context.metrics.registry, {
    venue: venue.name,
    isStopped: () => gates.isStopped,
    oldestUnknownSeconds: () => {
      const since = partitions.executors.flatMap(({ unknownSince }) => unknownSince ?? []);
      return since.length === 0 ? 0 : (performance.now() - Math.min(...since)) / 1000;
    },
  });
  const reconciliation = new Reconciliation({ ...bus, venue, gates, context, metrics });
  const group: { consumer?: RunningConsumer } = {};
  const partitions = new Partitions({
    kafka: bus.kafka,
    venue,
    gates,
    deadLetters: bus.producer,
    context,
    metrics,
    openLog,
    beforeWork: (partition, signal, progress) => reconciliation.beforeWork(partition, signal, progress),
    restart: (partition) => group.consumer?.restart(partition),
  });
  venue.onFill?.((fill) => {
    reconciliation.lateFill(fill, partitions.ended).catch((error: unknown) => context.fatal(error));
  });
  let takesWork: () => void = () => undefined;
  const started = new Promise<void>((resolve) => (takesWork = resolve));
  // First, so that the kill switch is known before the first command is taken.
  await startDrain({
    ...bus,
    context,
    onMessage: (message) => gates.apply(message),
    drain: async (signal) => {
      await started;
      const mayLeave = openOrdersAtClose === "carry-over" ? outlivesTheNight : () => false;
      await finish({ bus, context, groupId, venue: venue.name, partitions, mayLeave }, signal);
      await reconciliation.atDrain(partitions.numbers, signal);
    },
  });
  group.consumer = await startConsumer({
    kafka: bus.kafka,
    groupId,
    topics: [topics.executeTrade.name],
    context,
    handle: (records) => partitions.handle(records),
    assigned: (partition, progress) => partitions.assigned(partition, progress),
    revoked: (partition) => partitions.revoked(partition),
  });
  takesWork();
}

interface Finish {
  bus: Bus;
  context: ServiceContext;
  groupId: string;
  venue: string;
  partitions: Partitions;
  /** Whether a command's order may be left resting. */
  mayLeave: (command: ExecuteTrade) => boolean;
}

/**
 * Takes all commands, ends orders that rest or leaves them for the next cluster, waits for the end of each other one: of
 * this process's and of all others'.
 */
async function finish(options: Finish, signal: AbortSignal): Promise<void> {
  const { bus, context, groupId, venue, partitions, mayLeave } = options;
  const admin = bus.kafka.admin();
  await admin.connect();
  try {
    await waitForLogEnd(admin, groupId, [topics.executeTrade.name], signal);
  } finally {
    await admin.disconnect();
  }
  // What was sent last gets this time to fill, before it counts as resting.
  const leaveFrom = performance.now() + beforeLeavingMs;
  const view = new JournalView(bus.kafka, venue, context);
  for (;;) {
    const mayStillFill = performance.now() < leaveFrom;
    // Again and again: a partition may have come to this process meanwhile, with orders of its former owner.
    await Promise.all(
      partitions.executors.map(async (executor) => {
        if (!mayStillFill) await executor.leaveResting(mayLeave, signal);
        await executor.cancelOpen((command) => mayStillFill && mayLeave(command));
      }),
    );
    await view.read(signal);
    if (view.open.every(({ state }) => state === "CARRIED_OVER")) return;
    await delay(drainLookMs, undefined, { signal });
  }
}

/**
 * Whether a command's deadline lies behind the opening of the next session. The deadlines of others pass while no executor
 * runs that would end their orders, so they are canceled.
 */
export function outlivesTheNight({ deadline }: Pick<ExecuteTrade, "deadline">, now = Date.now()): boolean {
  return fromInstant(deadline) > sessionAfter(newYorkDate(new Date(now))).open.getTime();
}
