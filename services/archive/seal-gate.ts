/**
 * The gate in front of a cluster's removal: it opens only for a cluster that never held data, that is sealed and verified,
 * or whose loss somebody allowed in so many words. It needs the bucket and nothing else. Since it cannot see the cluster,
 * a seal that is already there does not open it: only the archiver knows whether the logs' ends are still those of the seal.
 */
import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { toInstant } from "../core/time.ts";
import type { ClusterArchive } from "./cluster-archive.ts";
import type { SealProgress, SealRequest } from "./documents.ts";
import { overrideWord, recordOverride } from "./gate-override.ts";
import { NoSealError, waitForSeal } from "./gate-wait.ts";
import { documents, manifestHistory, parseObjectName } from "./layout.ts";
import { ArchiveStoreError, ArchiveUnreachableError } from "./store.ts";
import { type Verification, verifyArchive, type VerifyMode } from "./verify.ts";

/** The cluster must not be removed; the message says what is missing and how to try again. */
export class GateRefusedError extends Error {
  override readonly name = "GateRefusedError";
}

/** Arguments of {@link passGate}. */
export interface GateOptions {
  archive: ClusterArchive;
  /** Longest wait for the archiver, in milliseconds, and then again for a bucket that does not answer. */
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

/** People see at least this often that something goes on. */
const lineEveryMs = 2_000;
const pauseMs = 1_000;

/**
 * Opens or refuses.
 * @throws GateRefusedError; the signal's reason.
 */
export async function passGate(options: GateOptions): Promise<GateOutcome> {
  try {
    return await openOrRefuse(options);
  } catch (error) {
    if (error instanceof ArchiveStoreError) {
      throw new GateRefusedError(
        `${error.message} Nothing was removed. Without the bucket nothing can be verified and no override recorded; ` +
          "run the destroy again when it can be used.",
        { cause: error },
      );
    }
    if (!(error instanceof NoSealError)) throw error;
    const known = error.silent ? await sealedBefore(options) : "";
    throw new GateRefusedError(`${error.message} ${known}${advice(options)}`, { cause: error });
  }
}

async function openOrRefuse(options: GateOptions): Promise<GateOutcome> {
  const { archive, report, allowDataLoss, timeoutMs, signal } = options;
  if (!(await wasOpened(options))) {
    report(`${archive.prefix} has no ${documents.opened}: this cluster never held data, nothing to archive`);
    return { reason: "never-opened" };
  }
  const word = overrideWord(archive);
  if (allowDataLoss === word) {
    await recordOverride(archive, report);
    return { reason: "data-loss-allowed" };
  }
  if (allowDataLoss !== undefined && allowDataLoss !== "") {
    report(
      `TRADING_ALLOW_DATA_LOSS is "${allowDataLoss}", this cluster is "${word}": it allows nothing here`,
    );
  }
  const request: SealRequest = { requestId: randomUUID(), requestedAt: toInstant(Date.now()) };
  await archive.write(documents.sealRequest, request);
  report(`asked the archiver to seal ${archive.prefix} (request ${request.requestId})`);
  const sealed = await waitForSeal({ archive, request, timeoutMs, report, signal });
  return { reason: "sealed", verification: await verify(options, sealed) };
}

/** A marker that somebody removed does not make an archive that holds something one that never did. */
async function wasOpened({ archive, report }: GateOptions): Promise<boolean> {
  if ((await archive.get(documents.opened)) !== undefined) return true;
  const names = (await archive.store.list(archive.prefix)).map(({ key }) => key.slice(archive.prefix.length));
  const held = names.find(
    (name) =>
      name === documents.manifest || name.startsWith(manifestHistory) || parseObjectName(name) !== undefined,
  );
  if (held === undefined) return false;
  report(
    `${archive.prefix} has no ${documents.opened}, but ${held}: it held data, so it has to be sealed like any other`,
  );
  return true;
}

/** What to do after a refusal. */
function advice({ archive }: GateOptions): string {
  return (
    "Nothing was removed. Run the destroy again to try once more; " +
    `to remove the cluster and lose what is not archived, set TRADING_ALLOW_DATA_LOSS=${overrideWord(archive)}.`
  );
}

/** For a refusal because nobody answers: what the person who decides may want to know. */
async function sealedBefore({ archive }: GateOptions): Promise<string> {
  const found = await verifyArchive(archive, { mode: "fast" }).catch((error: unknown) => {
    if (!(error instanceof ArchiveStoreError)) throw error;
    return undefined;
  });
  if (found?.manifest === undefined) return "";
  const { generation, sealedAt, totals } = found.manifest;
  const state = found.verified ? "whole" : `not whole (${found.problems[0] ?? ""})`;
  return (
    `There is a seal from ${sealedAt} (generation ${generation}, ${totals.records} records), and it is ${state}; ` +
    "whether the cluster changed after it only the archiver can tell. "
  );
}

async function verify(options: GateOptions, sealed: SealProgress): Promise<Verification> {
  const { archive, report } = options;
  report(`${sealed.message}; verifying what the bucket holds`);
  const verification = await verifyPatiently(options);
  const problems = [...verification.problems];
  const { manifest, mode, topics, messages, objects, bytes } = verification;
  if (
    manifest !== undefined &&
    (manifest.generation !== sealed.generation || manifest.checksum !== sealed.manifestChecksum)
  ) {
    problems.push(
      `the manifest (generation ${manifest.generation}) is not the one that answers the request (generation ${sealed.generation ?? "?"})`,
    );
  }
  if (problems.length > 0) {
    throw new GateRefusedError(
      `The archive ${archive.prefix} is not good:\n${problems.map((problem) => `  - ${problem}`).join("\n")}\n${advice(options)}`,
    );
  }
  report(
    `verified: ${messages} records of ${topics} topics in ${objects} objects (${bytes} bytes; ${mode}, generation ${manifest?.generation ?? "?"})`,
  );
  return verification;
}

/** The bucket answered a moment ago: when it does not any more, it gets some time. */
async function verifyPatiently(options: GateOptions): Promise<Verification> {
  const { archive, report, signal, timeoutMs, verify: mode = "fast" } = options;
  const deadline = performance.now() + timeoutMs;
  let lineAt = performance.now();
  for (;;) {
    try {
      return await verifyArchive(archive, {
        mode,
        signal,
        onProgress: ({ objects, ofObjects, messages, bytes, ofBytes }) => {
          if (performance.now() - lineAt < lineEveryMs) return;
          lineAt = performance.now();
          const percent = ofBytes === 0 ? 100 : Math.floor((100 * bytes) / ofBytes);
          report(`${percent} % verified: ${objects} of ${ofObjects} objects, ${messages} records`);
        },
      });
    } catch (error) {
      if (!(error instanceof ArchiveUnreachableError) || performance.now() > deadline) throw error;
      report(`${error.message} (verifying again)`);
      await delay(pauseMs, undefined, { signal });
    }
  }
}
