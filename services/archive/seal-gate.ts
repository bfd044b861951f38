/**
 * The gate in front of a cluster's removal: it opens only for a cluster that never held data, that is sealed and verified,
 * or whose loss somebody allowed in so many words. It needs the bucket and nothing else.
 */
import { randomUUID } from "node:crypto";
import { hostname, userInfo } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import { toInstant } from "../core/time.ts";
import type { ClusterArchive } from "./cluster-archive.ts";
import {
  type DataLossOverride,
  openedSchema,
  type SealProgress,
  sealProgressSchema,
  type SealRequest,
  sealRequestSchema,
} from "./documents.ts";
import { documents } from "./layout.ts";
import { ArchiveUnreachableError } from "./store.ts";
import { type Verification, verifyArchive, type VerifyMode } from "./verify.ts";

/** The cluster must not be removed; the message says what is missing and what to do. */
export class GateRefusedError extends Error {
  override readonly name = "GateRefusedError";
}

/** Arguments of {@link passGate}. */
export interface GateOptions {
  archive: ClusterArchive;
  /** Longest wait for the archiver, in milliseconds. */
  timeoutMs: number;
  /** Value of TRADING_ALLOW_DATA_LOSS; only exactly `<stack>/<cluster-id>` allows anything. */
  allowDataLoss: string | undefined;
  /** How close to look at the sealed archive. Default `fast`. */
  verify?: VerifyMode;
  /** Receives lines for people. */
  report: (line: string) => void;
  signal: AbortSignal;
}

/** Why the gate opened. */
export type GateOutcome =
  | { reason: "never-opened" }
  | { reason: "data-loss-allowed" }
  | { reason: "sealed"; verification: Verification };

const pollMs = 400;
/** People see at least this often that something goes on. */
const lineEveryMs = 2_000;
/** Without any sign of the archiver for this long, the lines say what to look at. */
const silenceMs = 30_000;

/**
 * Opens or refuses.
 * @throws GateRefusedError; ArchiveStoreError when the bucket cannot be used; the signal's reason.
 */
export async function passGate(options: GateOptions): Promise<GateOutcome> {
  const { archive, report, allowDataLoss } = options;
  const opened = await archive.read(documents.opened, openedSchema);
  if (opened === undefined) {
    report(`${archive.prefix} has no ${documents.opened}: this cluster never held data, nothing to archive`);
    return { reason: "never-opened" };
  }
  const override = `${archive.identity.stack}/${archive.identity.clusterId}`;
  if (allowDataLoss === override) {
    await recordOverride(options);
    return { reason: "data-loss-allowed" };
  }
  if (allowDataLoss !== undefined && allowDataLoss !== "") {
    report(
      `TRADING_ALLOW_DATA_LOSS is "${allowDataLoss}", this cluster is "${override}": it allows nothing here`,
    );
  }

  const request: SealRequest = { requestId: randomUUID(), requestedAt: toInstant(Date.now()) };
  await archive.write(documents.sealRequest, request);
  report(`asked the archiver to seal ${archive.prefix} (request ${request.requestId})`);
  const progress = await waitForSeal(options, request);
  const verification = await verify(options, progress);
  return { reason: "sealed", verification };
}

/** What to do after a refusal. */
function advice({ archive }: GateOptions): string {
  const { stack, clusterId } = archive.identity;
  return (
    "Nothing was removed. Run the destroy again to try once more; " +
    `to remove the cluster and lose what is not archived, set TRADING_ALLOW_DATA_LOSS=${stack}/${clusterId}.`
  );
}

async function recordOverride({ archive, report }: GateOptions): Promise<void> {
  const { stack, clusterId } = archive.identity;
  const by = `${userInfo().username}@${hostname()}`;
  await archive.write(documents.dataLossOverride, {
    stack,
    clusterId,
    overriddenAt: toInstant(Date.now()),
    by,
  } satisfies DataLossOverride);
  const line = "!".repeat(78);
  report(line);
  report(`!! DATA LOSS ALLOWED for cluster ${stack}/${clusterId} by ${by}: it is removed without a seal.`);
  report(
    `!! What is not in the archive yet is lost. Recorded as ${archive.prefix}${documents.dataLossOverride}.`,
  );
  report(line);
}

/** @returns the progress that says "sealed". */
async function waitForSeal(options: GateOptions, request: SealRequest): Promise<SealProgress> {
  const { report, signal, timeoutMs } = options;
  const startedAt = performance.now();
  let lastSign = startedAt;
  let lastUpdate: string | undefined;
  let line = "";
  let lineAt = -Infinity;
  const show = (text: string): void => {
    if (text === line && performance.now() - lineAt < lineEveryMs) return;
    line = text;
    lineAt = performance.now();
    report(`${Math.round((lineAt - startedAt) / 1_000)} s: ${text}`);
  };
  for (;;) {
    signal.throwIfAborted();
    const progress = await look(options, request, show);
    if (progress?.updatedAt !== undefined && progress.updatedAt !== lastUpdate) {
      lastUpdate = progress.updatedAt;
      lastSign = performance.now();
    }
    if (progress?.state === "sealed") return progress;
    if (progress?.state === "failed") {
      throw new GateRefusedError(`The archive is not sealed: ${progress.message} ${advice(options)}`);
    }
    const silent = performance.now() - lastSign > silenceMs;
    const hint = silent
      ? " (no sign of the archiver: is the cluster up, does the archiver run, does it reach the bucket?)"
      : "";
    const text = progress === undefined ? "waiting for the archiver to answer" : progress.message;
    show(`${text}${hint}`);
    if (performance.now() - startedAt > timeoutMs) {
      throw new GateRefusedError(
        `Not sealed within ${timeoutMs / 1_000} s; last: ${text}${hint}. ` +
          `A longer wait is GATE_TIMEOUT_SECONDS. ${advice(options)}`,
      );
    }
    await delay(pollMs, undefined, { signal });
  }
}

/** The archiver's progress with our own request, if there is any yet. */
async function look(
  options: GateOptions,
  { requestId }: SealRequest,
  onTrouble: (text: string) => void,
): Promise<SealProgress | undefined> {
  const { archive } = options;
  try {
    const progress = await archive.read(documents.sealProgress, sealProgressSchema);
    if (progress?.requestId === requestId) return progress;
    const current = await archive.read(documents.sealRequest, sealRequestSchema);
    if (current?.requestId === requestId) return undefined;
  } catch (error) {
    // The bucket answered a moment ago: it gets the time that is left.
    if (!(error instanceof ArchiveUnreachableError)) throw error;
    onTrouble(error.message);
    return undefined;
  }
  throw new GateRefusedError(
    `Another seal was requested meanwhile: is the cluster being destroyed twice? ${advice(options)}`,
  );
}

async function verify(options: GateOptions, sealed: SealProgress): Promise<Verification> {
  const { archive, report, signal } = options;
  report(`${sealed.message}; verifying what the bucket holds`);
  let lineAt = performance.now();
  const verification = await verifyArchive(archive, {
    mode: options.verify ?? "fast",
    signal,
    onProgress: ({ objects, ofObjects, messages }) => {
      if (performance.now() - lineAt < lineEveryMs && objects < ofObjects) return;
      lineAt = performance.now();
      report(`verified ${objects} of ${ofObjects} objects, ${messages} records`);
    },
  });
  const problems = [...verification.problems];
  const { manifest } = verification;
  if (manifest !== undefined) {
    if (manifest.generation !== sealed.generation || manifest.checksum !== sealed.manifestChecksum) {
      problems.push(
        `the manifest (generation ${manifest.generation}) is not the one that answers the request (generation ${sealed.generation ?? "?"})`,
      );
    }
  }
  if (problems.length > 0) {
    throw new GateRefusedError(
      `The archive ${archive.prefix} is not good:\n${problems.map((problem) => `  - ${problem}`).join("\n")}\n${advice(options)}`,
    );
  }
  const { topics, messages, objects, bytes } = verification;
  report(`verified: ${messages} records of ${topics} topics in ${objects} objects (${bytes} bytes)`);
  return verification;
}
