/** When a replay has come to rest: everything was fed, and every service has consumed everything there is for it. */
import { setTimeout as delay } from "node:timers/promises";
import { withAdmin } from "../bus/cluster-admin.ts";
import { groupLag } from "../bus/group-lag.ts";
import type { Kafka } from "../bus/kafka.ts";

/** A service as a replay sees it; its name is its consumer group. */
export interface ReplayedService {
  name: string;
  /** Topics it reads and writes, with the business date in their names. */
  reads: readonly string[];
  writes: readonly string[];
}

/** The services do not get on. */
export class ReplayStalledError extends Error {
  override readonly name = "ReplayStalledError";
}

/** Arguments of {@link waitAtRest}. */
export interface RestOptions {
  kafka: Kafka;
  services: readonly ReplayedService[];
  /** Told how many records wait, by service, as long as any do. */
  onBehind: (behind: ReadonlyMap<string, number>) => void;
  /** So long no service may consume anything before the wait is given up. Default 120,000 ms. */
  stalledMs?: number;
  signal: AbortSignal;
}

const lookEveryMs = 200;

/**
 * Waits until no service has anything left to do, after everything was fed. Offsets are committed only when what
 * follows is written, and each service is looked at after those whose topics it reads: so when none is behind in
 * one round, nothing can come any more.
 * @throws ReplayStalledError; the signal's reason; KafkaJSError when the brokers are gone.
 */
export async function waitAtRest(options: RestOptions): Promise<void> {
  const { kafka, onBehind, signal, stalledMs = 120_000 } = options;
  const services = inOrderOfFlow(options.services);
  await withAdmin(kafka, async (admin) => {
    let last = "";
    let changedAt = performance.now();
    for (;;) {
      signal.throwIfAborted();
      const behind = new Map<string, number>();
      for (const { name, reads } of services) {
        const lags = await groupLag(admin, name, reads);
        const lag = [...lags.values()].reduce((sum, records) => sum + records, 0);
        if (lag > 0) behind.set(name, lag);
      }
      if (behind.size === 0) return;
      onBehind(behind);
      const now = [...behind].map(([name, lag]) => `${name} is ${lag} records behind`).join(", ");
      if (now !== last) changedAt = performance.now();
      else if (performance.now() - changedAt > stalledMs) {
        throw new ReplayStalledError(
          `The replay does not get on: for ${stalledMs / 1_000} s ${now}. Look at the services' logs.`,
        );
      }
      last = now;
      await delay(lookEveryMs, undefined, { signal });
    }
  });
}

/** Each service behind those whose topics it reads. @throws Error when they feed each other in a circle. */
export function inOrderOfFlow<Service extends ReplayedService>(services: readonly Service[]): Service[] {
  const ordered: Service[] = [];
  let waiting = [...services];
  while (waiting.length > 0) {
    const feeds = (service: Service): boolean =>
      waiting.some(
        (other) => other !== service && other.writes.some((topic) => service.reads.includes(topic)),
      );
    const next = waiting.filter((service) => !feeds(service));
    if (next.length === 0) {
      throw new Error(`services feed each other in a circle: ${waiting.map(({ name }) => name).join(", ")}`);
    }
    ordered.push(...next);
    waiting = waiting.filter((service) => !next.includes(service));
  }
  return ordered;
}
