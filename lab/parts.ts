/**
 * The lab's parts, each startable alone and each part of a day. A part announces itself with one JSON object:
 * the same object stands in `.lab/endpoints.json` while a day runs and on the first line of `npm run lab -- <part>`.
 */
import { randomInt } from "node:crypto";
import { mkdirSync, rmSync } from "node:fs";
import path from "node:path";
import { startHetzner } from "./hetzner/index.ts";
import type { HetznerOptions } from "./hetzner/options.ts";
import { installKafka, startKafka } from "./kafka/index.ts";
import { acquireLock, type ReleaseLock } from "./lock.ts";
import { installObjectStore, startObjectStore } from "./objectstore/index.ts";
import { labDirectories } from "./directories.ts";
import type { ProcessRegistry } from "./processes.ts";
import { startAlpaca } from "./venues/alpaca/index.ts";
import { startNear } from "./venues/near/index.ts";
import type { AlpacaOptions, NearOptions } from "./venues/options.ts";

export const partNames = ["hetzner", "kafka", "alpaca", "near", "s3"] as const;
export type PartName = (typeof partNames)[number];

/** What a part says of itself: endpoints and throwaway credentials. */
export type Announcement = { ready: true; part: PartName } & Record<string, unknown>;

/** A part that answers. */
export interface RunningPart {
  announcement: Announcement;
  stop(): Promise<void>;
}

export interface PartOptions {
  /** TCP port (for Kafka the first of three, for S3 the S3 API's); default: a free one. */
  port?: number;
  /** Hetzner only: how fast its time passes, what can be ordered, and what goes wrong. */
  hetzner?: HetznerOptions;
  /** Alpaca only: how it behaves, and what goes wrong. */
  alpaca?: AlpacaOptions;
  /** NEAR only: how it behaves, and what goes wrong. */
  near?: NearOptions;
  /** Where the part's child processes are recorded. */
  registry: ProcessRegistry;
  /** Progress lines, for a person. */
  onProgress: (line: string) => void;
}

/** A Kafka cluster id as Kafka makes them: 16 bytes in URL-safe base64, here without `-` and `_`. */
function randomClusterId(): string {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
  return Array.from({ length: 21 }, () => alphabet[randomInt(alphabet.length)]).join("") + "A";
}

type Running<Start extends (...args: never[]) => Promise<unknown>> = Awaited<ReturnType<Start>>;

export function announceHetzner(hetzner: Running<typeof startHetzner>): Announcement {
  const { endpoint, token, sshPort, control } = hetzner;
  return { ready: true, part: "hetzner", endpoint, token, sshPort, control };
}

export function announceKafka({ brokers, pids }: Running<typeof startKafka>): Announcement {
  return { ready: true, part: "kafka", brokers: brokers.join(","), pids };
}

export function announceAlpaca(alpaca: Running<typeof startAlpaca>): Announcement {
  const { stream, updates, rest, keyId, secret } = alpaca;
  return { ready: true, part: "alpaca", stream, updates, rest, keyId, secret };
}

export function announceNear(near: Running<typeof startNear>): Announcement {
  const { ws, rpc, token, salt, signerId, privateKey } = near;
  return { ready: true, part: "near", ws, rpc, token, salt, signerId, privateKey };
}

export function announceObjectStore(store: Running<typeof startObjectStore>): Announcement {
  const { endpoint, region, bucket, accessKeyId, secretAccessKey } = store;
  return { ready: true, part: "s3", endpoint, region, bucket, accessKeyId, secretAccessKey };
}

async function startKafkaPart(options: PartOptions): Promise<RunningPart> {
  const directory = path.join(labDirectories.parts, `kafka-${process.pid}`);
  await installKafka(labDirectories.cache, options.onProgress, options.registry);
  const kafka = await startKafka({
    directory,
    cacheDirectory: labDirectories.cache,
    registry: options.registry,
    clusterId: randomClusterId(),
    firstPort: options.port,
    onProgress: options.onProgress,
  });
  return {
    announcement: announceKafka(kafka),
    stop: async () => {
      await kafka.stop();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/**
 * Two servers on one folder would spoil it, so whoever serves the archive of this clone locks it.
 * @throws LabError (exit code 3) when another process serves it.
 */
export function lockArchive(): ReleaseLock {
  return acquireLock(
    path.join(labDirectories.root, "s3.lock"),
    "The archives of this clone are being served already, by a day (.lab/endpoints.json) or by the s3 part; stop that first",
  );
}

async function startObjectStorePart(options: PartOptions): Promise<RunningPart> {
  const release = lockArchive();
  try {
    await installObjectStore(labDirectories.cache, options.onProgress, options.registry);
    const store = await startObjectStore({
      directory: labDirectories.objectStore,
      cacheDirectory: labDirectories.cache,
      registry: options.registry,
      port: options.port,
    });
    return {
      announcement: announceObjectStore(store),
      stop: async () => {
        await store.stop();
        release();
      },
    };
  } catch (error) {
    release();
    throw error;
  }
}

/** Starts one part by itself, with a world of its own: an empty project, an open market, an empty Kafka. */
export async function startPart(part: PartName, options: PartOptions): Promise<RunningPart> {
  mkdirSync(labDirectories.root, { recursive: true });
  switch (part) {
    case "kafka":
      return startKafkaPart(options);
    case "s3":
      return startObjectStorePart(options);
    case "hetzner": {
      const hetzner = await startHetzner({ ...options.hetzner, port: options.port });
      return { announcement: announceHetzner(hetzner), stop: () => hetzner.close() };
    }
    case "alpaca": {
      const alpaca = await startAlpaca({
        ...options.alpaca,
        port: options.port,
        market: "simulated",
      });
      return { announcement: announceAlpaca(alpaca), stop: () => alpaca.close() };
    }
    case "near": {
      const near = await startNear({ ...options.near, port: options.port, market: "simulated" });
      return { announcement: announceNear(near), stop: () => near.close() };
    }
  }
}
