/** The lag of consumer groups, seen from outside: also of a service that is down and cannot tell its own. */
import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";
import { groupLag, type LagAdmin } from "../bus/group-lag.ts";
import type { ServiceContext } from "../core/service.ts";

/** A consumer group and the topics it is to consume. */
export interface MonitoredGroup {
  group: string;
  topics: string[];
}

/** `group:topic+topic,group:topic`; an empty text is an empty list. */
export const monitoredGroups = z.string().transform((text, context): MonitoredGroup[] =>
  text
    .split(",")
    .map((item) => item.trim())
    .filter((item) => item !== "")
    .flatMap((item) => {
      const [, group, topics] = /^([\w.-]+):([\w.-]+(?:\+[\w.-]+)*)$/.exec(item) ?? [];
      if (group === undefined || topics === undefined) {
        context.addIssue({
          code: "custom",
          message: `${JSON.stringify(item)} is not group:topic or group:topic+topic`,
        });
        return [];
      }
      return [{ group, topics: topics.split("+") }];
    }),
);

/** Between two looks. */
const everyMs = 5_000;

/** Looks at the groups' lag again and again and shows it as a metric, until `signal` is aborted. Never rejects. */
export async function watchLag(
  admin: LagAdmin,
  groups: readonly MonitoredGroup[],
  context: Pick<ServiceContext, "metrics" | "logger" | "signal">,
): Promise<void> {
  const { metrics, logger, signal } = context;
  while (!signal.aborted) {
    for (const monitored of groups) {
      const { group } = monitored;
      try {
        for (const [topic, lag] of await groupLag(admin, group, monitored.topics))
          metrics.groupLag.set({ group, topic }, lag);
      } catch (error) {
        if (signal.aborted) return;
        // What is not known is not shown: an old figure would look like a present one.
        for (const topic of monitored.topics) metrics.groupLag.remove({ group, topic });
        logger.warn({ err: error, group }, "the group's lag could not be read, trying again");
      }
    }
    await delay(everyMs, undefined, { signal }).catch(() => undefined);
  }
}
