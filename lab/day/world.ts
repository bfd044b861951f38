/** The outside world of one day: cloud account, object storage, venues. Kafka comes with the cluster. */
import { chmodSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { labDirectories, labFiles } from "../directories.ts";
import { latencyModel } from "../hetzner/durations.ts";
import { startHetzner } from "../hetzner/index.ts";
import type { LabKafka } from "../kafka/index.ts";
import { findFreePorts } from "../kafka/ports.ts";
import { startObjectStore } from "../objectstore/index.ts";
import {
  announceAlpaca,
  announceHetzner,
  announceKafka,
  announceNear,
  announceObjectStore,
  type Announcement,
} from "../parts.ts";
import type { ProcessRegistry } from "../processes.ts";
import { startAlpaca } from "../venues/alpaca/index.ts";
import { startNear } from "../venues/near/index.ts";
import type { LabEndpoints } from "./stack-config.ts";

/** The running world of a day. */
export interface World {
  hetzner: Awaited<ReturnType<typeof startHetzner>>;
  objectStore: Awaited<ReturnType<typeof startObjectStore>>;
  alpaca: Awaited<ReturnType<typeof startAlpaca>>;
  near: Awaited<ReturnType<typeof startNear>>;
  /** The first of the client ports that the day's Kafka will take. */
  kafkaPort: number;
  /** What the stack's configuration points at. */
  endpoints: LabEndpoints;
  stop(): Promise<void>;
}

/**
 * Trading requests a minute that Alpaca takes during a day, and that our executor keeps to. A minute of the lab holds
 * the orders of hours; the real limit of a paper account is 200.
 */
const alpacaRequestsPerMinute = 60_000;

/** US dollars of the account: what a day buys it never sells, and a paper account's 100,000 are spent after seconds. */
const alpacaCash = "10000000";

/** Fast; but where a real Kubernetes takes the definitions, it needs its time. */
const latency = latencyModel("fast", { deadline_wait_for_crds: 120_000 });

/** Starts every part; when one fails the others are stopped and its error is thrown. */
export async function startWorld(
  registry: ProcessRegistry,
  symbols: readonly string[],
  seed: number,
  brokerCount: 3 | 1,
): Promise<World> {
  const stops: (() => Promise<void>)[] = [];
  const started = async <T>(part: Promise<T>, stop: (part: T) => Promise<void>): Promise<T> => {
    const running = await part;
    stops.push(() => stop(running));
    return running;
  };
  const stop = async (): Promise<void> => {
    await Promise.all(stops.map((each) => each()));
  };
  const parts = await Promise.allSettled([
    started(startHetzner({ latency }), (part) => part.close()),
    started(
      startObjectStore({
        directory: labDirectories.objectStore,
        cacheDirectory: labDirectories.cache,
        registry,
      }),
      (part) => part.stop(),
    ),
    started(
      startAlpaca({
        market: "replay",
        seed,
        cash: alpacaCash,
        requestsPerMinute: alpacaRequestsPerMinute,
      }),
      (part) => part.close(),
    ),
    started(startNear({ market: "replay", seed }), (part) => part.close()),
  ] as const);
  const failed = parts.find((part) => part.status === "rejected");
  if (failed !== undefined) {
    await stop();
    throw failed.reason;
  }
  const [hetzner, objectStore, alpaca, near] = parts.map((part) =>
    part.status === "fulfilled" ? part.value : undefined,
  ) as [World["hetzner"], World["objectStore"], World["alpaca"], World["near"]];
  const [kafkaPort = 0] = await findFreePorts(brokerCount);
  const brokers = Array.from({ length: brokerCount }, (_, broker) => `127.0.0.1:${kafkaPort + broker}`);
  return {
    hetzner,
    objectStore,
    alpaca,
    near,
    kafkaPort,
    endpoints: {
      hetzner: { endpoint: hetzner.endpoint, token: hetzner.token, sshPort: hetzner.sshPort },
      s3: objectStore,
      kafka: { brokers },
      alpaca: { ...alpaca, symbols: [...symbols], requestsPerMinute: alpacaRequestsPerMinute },
      near,
      renderDirectory: labDirectories.rendered,
    },
    stop,
  };
}

/** What `.lab/endpoints.json` says: each part as it would announce itself when started alone. */
export function announcements(world: World, kafka?: LabKafka): Record<string, Announcement> {
  return {
    hetzner: announceHetzner(world.hetzner),
    s3: announceObjectStore(world.objectStore),
    alpaca: announceAlpaca(world.alpaca),
    near: announceNear(world.near),
    ...(kafka === undefined ? {} : { kafka: announceKafka(kafka) }),
  };
}

/** Writes `.lab/endpoints.json`, readable by its owner only, whole or not at all. */
export function writeEndpoints(parts: Record<string, Announcement>): void {
  const draft = `${labFiles.endpoints}.draft`;
  rmSync(draft, { force: true });
  writeFileSync(draft, `${JSON.stringify(parts, null, 2)}\n`, { mode: 0o600 });
  chmodSync(draft, 0o600);
  renameSync(draft, labFiles.endpoints);
}
