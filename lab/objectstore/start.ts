/**
 * A real S3 server on this machine: SeaweedFS in its all-in-one mode, on loopback only. It checks signatures as
 * Hetzner Object Storage does; what it serves persists in its directory. SeaweedFS's inner ports (master, volume,
 * filer) ask nobody for a password; they too listen on 127.0.0.1 only, and there is nothing but lab data in it.
 */
import { CreateBucketCommand, DeleteObjectCommand, PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { randomBytes } from "node:crypto";
import { closeSync, mkdirSync, openSync, rmSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { findFreePorts, isFree } from "../kafka/ports.ts";
import { ProcessRegistry } from "../processes.ts";
import { ObjectStorePortInUseError, ObjectStoreStartError } from "./errors.ts";
import { installObjectStore } from "./install.ts";

// The SDK says at each client's making what it will need in 2027; package.json says which Node we support.
process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= "true";

/** The one bucket of the lab. */
const bucket = "trading-archive";
/** Any name will do: S3 wants one for its signatures. Hetzner's regions are its locations. */
const region = "fsn1";
/** A start takes 0.7 s; on a loaded machine many times that. */
const readyDeadlineMs = 60_000;
/** A stop takes about 2 s. */
const stopGraceMs = 8_000;

/** How the lab's S3 server is to be started. */
export interface ObjectStoreArguments {
  /** Folder for data, log and the identity file. May hold an earlier start's data: it is served again. */
  directory: string;
  /** Where the binary is kept, for example `.lab/cache`. */
  cacheDirectory: string;
  /** Who ends the server if the lab is killed; default: one of its own below `directory`. */
  registry?: ProcessRegistry;
  /** Port of the S3 endpoint; default: a free one. */
  port?: number;
  /** Told what is being done, one short line at a time. */
  onProgress?: (line: string) => void;
  /** Aborted: whatever was started is ended and the start rejects with the signal's reason. */
  signal?: AbortSignal;
}

/** The running S3 server. */
export interface LabObjectStore {
  /** `http://127.0.0.1:<port>`; use path-style addresses. */
  readonly endpoint: string;
  readonly region: string;
  readonly bucket: string;
  /** New random keys at each start; they may do everything. */
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Another pair, also new at each start, that may read, list and write, but neither delete nor change the bucket. */
  readonly writer: { readonly accessKeyId: string; readonly secretAccessKey: string };
  readonly pid: number;
  /** Ends the server; what it holds stays in the directory. */
  stop(): Promise<void>;
}

/**
 * Starts the S3 server and resolves when it stores an object and the bucket exists.
 * @throws ObjectStoreInstallError, ObjectStorePortInUseError, ObjectStoreStartError; nothing is left running then.
 */
export async function startObjectStore(args: ObjectStoreArguments): Promise<LabObjectStore> {
  const directory = path.resolve(args.directory);
  const registry = args.registry ?? new ProcessRegistry(path.join(directory, "processes"));
  const binary = await installObjectStore(args.cacheDirectory, args.onProgress, registry);
  if (args.port !== undefined && !(await isFree(args.port))) throw new ObjectStorePortInUseError(args.port);
  const inner = await findFreePorts(innerPorts.length, args.port === undefined ? [] : [args.port]);
  const port = args.port ?? (await findFreePorts(1, inner))[0];
  if (port === undefined) throw new Error("no free port on 127.0.0.1");

  mkdirSync(path.join(directory, "data"), { recursive: true });
  // SeaweedFS remembers the last flags there and would take its former ports from it.
  rmSync(path.join(directory, "data", "mini.options"), { force: true });
  const { accessKeyId, secretAccessKey } = newKeys();
  const writer = newKeys();
  const identities = path.join(directory, "identities.json");
  rmSync(identities, { force: true });
  writeFileSync(identities, identityFile({ accessKeyId, secretAccessKey }, writer), { mode: 0o600 });

  const logFile = path.join(directory, "objectstore.log");
  const log = openSync(logFile, "a", 0o600);
  const server = await registry
    .start("objectstore", binary, serverFlags(port, inner), {
      cwd: directory,
      // Of this environment, nothing: AWS_* or S3_* variables would become identities or buckets.
      env: { PATH: process.env.PATH, HOME: directory },
      stdio: ["ignore", log, log],
    })
    .finally(() => closeSync(log));

  const stop = async (): Promise<void> => {
    await server.stop(stopGraceMs);
    rmSync(identities, { force: true });
    removeSockets([port, ...inner]);
  };
  const endpoint = `http://127.0.0.1:${port}`;
  const fail = async (what: string): Promise<never> => {
    const lines = (await readFile(logFile, "utf8")).trim().split("\n").slice(-15);
    throw new ObjectStoreStartError(what, logFile, lines);
  };
  const client = new S3Client({
    endpoint,
    region,
    credentials: { accessKeyId, secretAccessKey },
    forcePathStyle: true,
    maxAttempts: 1,
    requestChecksumCalculation: "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
  });
  try {
    const deadline = Date.now() + readyDeadlineMs;
    for (let answer = await storesObjects(client); answer !== true; answer = await storesObjects(client)) {
      args.signal?.throwIfAborted();
      if (server.child.exitCode !== null || server.child.signalCode !== null) {
        await fail("The S3 server ended while starting.");
      }
      if (Date.now() > deadline) {
        await fail(
          `The S3 server did not store an object on ${endpoint} within ${readyDeadlineMs / 1_000} s (${answer}).`,
        );
      }
      await delay(50);
    }
  } catch (error) {
    await stop();
    throw error;
  } finally {
    client.destroy();
  }
  return { endpoint, region, bucket, accessKeyId, secretAccessKey, writer, pid: server.pid, stop };
}

/** One signed request of each kind that matters; `true`, or what was in the way. */
async function storesObjects(client: S3Client): Promise<true | string> {
  const abortSignal = AbortSignal.timeout(5_000);
  const probe = { Bucket: bucket, Key: ".lab-ready" };
  try {
    await client
      .send(new CreateBucketCommand({ Bucket: bucket }), { abortSignal })
      .catch((error: unknown) => {
        const name = (error as Error).name;
        if (name !== "BucketAlreadyOwnedByYou" && name !== "BucketAlreadyExists") throw error;
      });
    await client.send(new PutObjectCommand({ ...probe, Body: "ready" }), { abortSignal });
    await client.send(new DeleteObjectCommand(probe), { abortSignal });
    return true;
  } catch (error) {
    return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  }
}

/** All that listens beside the S3 port. The admin ports are needed though its pages are off. */
const innerPorts = [
  "master.port",
  "master.port.grpc",
  "volume.port",
  "volume.port.grpc",
  "filer.port",
  "filer.port.grpc",
  "s3.port.grpc",
  "admin.port",
  "admin.port.grpc",
] as const;

/** Flags of `weed mini` (`weed mini -h` of 4.48 explains each). */
function serverFlags(port: number, inner: readonly number[]): string[] {
  return [
    "-logtostderr",
    "mini",
    "-dir=data",
    "-ip=127.0.0.1",
    "-ip.bind=127.0.0.1",
    `-s3.port=${port}`,
    ...innerPorts.map((flag, index) => `-${flag}=${inner[index]}`),
    "-s3.config=identities.json",
    "-s3.autoCreateBucket=false",
    "-s3.iam=false",
    "-s3.port.iceberg=0",
    "-s3.port.lance=0",
    "-webdav=false",
    "-admin.ui=false",
    // It would tell its makers about this machine.
    "-master.telemetry=false",
  ];
}

interface Keys {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

function newKeys(): Keys {
  return {
    accessKeyId: randomBytes(10).toString("hex").toUpperCase(),
    secretAccessKey: randomBytes(30).toString("base64url"),
  };
}

/**
 * SeaweedFS's identities. Its own coarse action "Write" includes deleting, so the writer's rights are a policy in AWS's
 * language: what a bucket policy on Hetzner Object Storage says, too.
 */
function identityFile(everything: Keys, writer: Keys): string {
  const credentials = ({ accessKeyId, secretAccessKey }: Keys) => [
    { accessKey: accessKeyId, secretKey: secretAccessKey },
  ];
  const actions = ["Admin", "Read", "List", "Tagging", "Write"];
  const content = JSON.stringify({
    Version: "2012-10-17",
    Statement: [
      {
        Effect: "Allow",
        Action: [
          "s3:GetObject",
          "s3:PutObject",
          "s3:ListBucket",
          "s3:AbortMultipartUpload",
          "s3:ListBucketMultipartUploads",
          "s3:ListMultipartUploadParts",
        ],
        Resource: [`arn:aws:s3:::${bucket}`, `arn:aws:s3:::${bucket}/*`],
      },
    ],
  });
  return JSON.stringify({
    identities: [
      { name: "lab", credentials: credentials(everything), actions },
      { name: "writer", credentials: credentials(writer), policyNames: ["writer"] },
    ],
    policies: [{ name: "writer", content }],
  });
}

/** SeaweedFS also listens on sockets in /tmp, named after its ports, and does not remove them all. */
function removeSockets(ports: readonly number[]): void {
  const parts = ["master-grpc", "volume-grpc", "filer", "filer-grpc", "s3", "s3-grpc", "admin-grpc"];
  for (const part of parts) {
    for (const port of ports) rmSync(`/tmp/seaweedfs-${part}-${port}.sock`, { force: true });
  }
}
