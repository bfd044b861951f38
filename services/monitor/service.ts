/** The service `result-monitor`: results and their latency, canaries and trading readiness, lag of all groups. */
import { startConsumer } from "../bus/consumer.ts";
import { putAside } from "../bus/dead-letters.ts";
import { connectBus, startConsumerDrain } from "../bus/stage.ts";
import { canaryRoutes, canaryVenues, type CanaryVenue } from "../bus/stage-canary.ts";
import { topics } from "../bus/topics.ts";
import { integer, list } from "../core/config.ts";
import { InvalidEventError } from "../core/events.ts";
import type { ServiceDefinition } from "../core/service.ts";
import { compareAccounts } from "./accounts.ts";
import { Canaries } from "./canaries.ts";
import { monitoredGroups, watchLag, type MonitoredGroup } from "./lag.ts";
import { ResultWatch } from "./results.ts";

/** Venues to probe, comma separated; `none` for none. */
export const canaryVenueList = list
  .transform((names) => (names.length === 1 && names[0] === "none" ? [] : names))
  .refine(
    (names): names is CanaryVenue[] => names.every((name) => (canaryVenues as string[]).includes(name)),
    `expected a list of ${canaryVenues.join(", ")}, or none`,
  );

const variables = {
  /** Seconds between two rounds of canaries once trading is ready. */
  CANARY_EVERY_SECONDS: integer(1, 86_400).default(300),
  CANARY_VENUES: canaryVenueList.default([...canaryVenues]),
  /** Groups whose lag is shown, see {@link monitoredGroups}. Groups named `strategy-*` are expected to answer canaries. */
  MONITORED_GROUPS: monitoredGroups.default([]),
};

/** The strategies that answer a venue's canaries: the groups `strategy-<name>` that read where canaries arrive. */
export function answeringStrategies(groups: readonly MonitoredGroup[], venue: CanaryVenue): string[] {
  return groups.flatMap(({ group, topics: read }) => {
    const name = /^strategy-(.+)$/.exec(group)?.[1];
    return name !== undefined && read.includes(canaryRoutes[venue].norm.name) ? [name] : [];
  });
}

/** The service. It is ready (/readyz) when it watches; whether trading is ready, the metric `trading_ready` tells. */
export const resultMonitor: ServiceDefinition<typeof variables> = {
  variables,
  start: async (context, config) => {
    const groupId = context.settings.SERVICE_NAME;
    const groups = config.MONITORED_GROUPS;
    const bus = await connectBus(context);
    const canaries = new Canaries({
      context,
      producer: bus.producer,
      venues: config.CANARY_VENUES,
      strategies: (venue) => answeringStrategies(groups, venue),
      everyMs: config.CANARY_EVERY_SECONDS * 1_000,
      accounts: () => compareAccounts(bus.kafka, context),
    });
    const watch = new ResultWatch(context, (result, timestamp) => canaries.take(result, timestamp));
    await startConsumer({
      kafka: bus.kafka,
      groupId,
      topics: [topics.tradeResult.name],
      context,
      handle: async (records) => {
        for (const record of records) {
          try {
            watch.take(record);
          } catch (error) {
            if (!(error instanceof InvalidEventError)) throw error;
            await putAside(record, error, bus.producer, context);
          }
        }
      },
    });
    const read = [topics.tradeResult.name];
    // Every other service has drained when the wait for the canaries begins, so they arrive soon or never.
    const settled = (): Promise<void> => canaries.settled(context.signal);
    const drain = await startConsumerDrain(bus, context, groupId, read, settled, (message) => {
      // The normalizers drain long before the monitor: what is sent after them would stay in the raw topics.
      if (message.type === "drain") canaries.stop();
    });
    if (groups.length > 0) {
      const admin = bus.kafka.admin();
      await admin.connect();
      const watching = watchLag(admin, groups, context);
      context.onStop("lag", async () => {
        await watching;
        await admin.disconnect();
      });
    }
    if (drain.requestedBefore) return;
    if (config.CANARY_VENUES.length === 0) {
      canaries.notReady(["no canaries are sent (CANARY_VENUES is none): nothing shows whether it trades"]);
      return;
    }
    canaries.start();
    context.onStop("canaries", () => canaries.stop());
  },
};
