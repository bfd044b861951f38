/** The outside world of one day: cloud account, object storage, venues. Kafka comes with the cluster. */
import { chmodSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { labDirectories, labFiles } from "../directories.ts";
import { startHetzner } from "../hetzner/index.ts";
import { findFreePorts } from "../kafka/ports.ts";
import { startObjectStore } from "../objectstore/index.ts";
import type { Announcement } from "../parts.ts";
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
  /** The first of three client ports that the day's Kafka will take. */
  kafkaPort: number;
  /** What the stack's configuration points at. */
  endpoints: LabEndpoints;
  stop(): Promise<void>;
}

/** Starts every part; when one fails the others are stopped and its error is thrown. */
export async function startWorld(
  registry: ProcessRegistry,
  symbols: readonly string[],
  seed: number,
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
    started(startHetzner({ latency: "fast" }), (part) => part.close()),
    started(
      startObjectStore({
        directory: labDirectories.objectStore,
        cacheDirectory: labDirectories.cache,
        registry,
      }),
      (part) => part.stop(),
    ),
    started(startAlpaca({ market: "replay", seed }), (part) => part.close()),
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
  const [kafkaPort = 0] = await findFreePorts(3);
  const brokers = [0, 1, 2].map((broker) => `127.0.0.1:${kafkaPort + broker}`).join(",");
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
      alpaca: { ...alpaca, symbols: [...symbols] },
      near,
      renderDirectory: labDirectories.rendered,
    },
    stop,
  };
}

/** What `.lab/endpoints.json` says: each part as it would announce itself when started alone. */
export function announcements(
  world: World,
  kafka?: { pids: readonly number[] },
): Record<string, Announcement> {
  const { hetzner, s3, alpaca, near } = world.endpoints;
  return {
    hetzner: { ready: true, part: "hetzner", ...hetzner },
    s3: {
      ready: true,
      part: "s3",
      endpoint: s3.endpoint,
      region: s3.region,
      bucket: s3.bucket,
      accessKeyId: s3.accessKeyId,
      secretAccessKey: s3.secretAccessKey,
    },
    alpaca: {
      ready: true,
      part: "alpaca",
      stream: alpaca.stream,
      updates: alpaca.updates,
      rest: alpaca.rest,
      keyId: alpaca.keyId,
      secret: alpaca.secret,
    },
    near: {
      ready: true,
      part: "near",
      ws: near.ws,
      rpc: near.rpc,
      token: near.token,
      salt: near.salt,
      signerId: near.signerId,
      privateKey: near.privateKey,
    },
    ...(kafka === undefined
      ? {}
      : {
          kafka: {
            ready: true,
            part: "kafka",
            brokers: world.endpoints.kafka.brokers,
            pids: kafka.pids,
          } satisfies Announcement,
        }),
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
