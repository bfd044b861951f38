/**
 * Looks for seal-requests in the bucket and has them answered: requests come that way because whoever destroys the
 * cluster may not be able to reach it. A newer request takes the place of one that is being worked on; one that a
 * killed archiver left unanswered is answered by the next.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "../core/log.ts";
import { ArchiveDocumentError, type ClusterArchive } from "./cluster-archive.ts";
import { type Manifest, sealProgressSchema, sealRequestSchema } from "./documents.ts";
import { documents } from "./layout.ts";
import { type SealStep, SealProgressWriter } from "./seal-progress.ts";
import { ArchiveStoreError } from "./store.ts";

/** Makes a seal for a request; what it throws is the answer, but for ArchiveStoreError: then it is called again. */
export type Sealing = (
  requestId: string,
  signal: AbortSignal,
  onProgress: (step: SealStep) => void,
) => Promise<{ manifest: Manifest; unchanged: boolean }>;

/** Arguments of {@link answerSealRequests}. */
export interface SealRequestsOptions {
  archive: ClusterArchive;
  logger: Logger;
  seal: Sealing;
  /** Ends the watch, and a seal that is being made. */
  signal: AbortSignal;
  /** Time between two looks, and first pause when the bucket cannot be used, in milliseconds. Default 500. */
  pollMs?: number;
}

const defaultPollMs = 500;
/** Longest pause between two tries while the bucket cannot be used. */
const longestPauseMs = 15_000;

/** Watches until the signal. Never rejects. */
export async function answerSealRequests(options: SealRequestsOptions): Promise<void> {
  const { archive, logger, signal, pollMs = defaultPollMs } = options;
  let current: { requestId: string; abort: AbortController; done: Promise<void> } | undefined;
  let lastWarning = -Infinity;
  while (!signal.aborted) {
    try {
      const request = await archive.read(documents.sealRequest, sealRequestSchema);
      if (request !== undefined && request.requestId !== current?.requestId) {
        current?.abort.abort(new Error("a newer seal-request has come"));
        await current?.done;
        const abort = new AbortController();
        const { requestId } = request;
        const done = answer(options, requestId, AbortSignal.any([signal, abort.signal]));
        current = { requestId, abort, done };
      }
    } catch (error) {
      if (performance.now() - lastWarning > 10_000) {
        lastWarning = performance.now();
        logger.warn({ err: error }, "could not look for a seal-request, trying again");
      }
    }
    await delay(pollMs, undefined, { signal }).catch(() => undefined);
  }
  await current?.done;
}

/** Makes the seal and says what came of it, however long the bucket is away. Never rejects. */
async function answer(options: SealRequestsOptions, requestId: string, signal: AbortSignal): Promise<void> {
  const { archive, logger, pollMs = defaultPollMs } = options;
  const progress = new SealProgressWriter({
    archive,
    requestId,
    onError: (error) => logger.warn({ err: error }, "could not write the seal's progress"),
  });
  let outcome: SealStep | undefined;
  let last: SealStep = { state: "draining", message: "the archiver has taken up the request" };
  progress.report(last);
  for (let pauseMs = pollMs; !signal.aborted; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
    try {
      if (outcome === undefined) {
        if (await wasAnswered(archive, requestId)) break;
        outcome = await outcomeOf(options, requestId, signal, (step) => progress.report((last = step)));
      }
      await progress.end(outcome);
      break;
    } catch (error) {
      if (signal.aborted) break;
      logger.error({ err: error, requestId, pauseMs }, "the bucket cannot be used, trying again");
      const { message } = error as Error;
      progress.report({ ...last, message: `waiting for the bucket, then going on: ${message}` });
      await delay(pauseMs, undefined, { signal }).catch(() => undefined);
    }
  }
  await progress.stop();
}

/** Whether an earlier archiver said what came of the request. @throws ArchiveStoreError */
async function wasAnswered(archive: ClusterArchive, requestId: string): Promise<boolean> {
  try {
    const before = await archive.read(documents.sealProgress, sealProgressSchema);
    return before?.requestId === requestId && (before.state === "sealed" || before.state === "failed");
  } catch (error) {
    // Damaged: it says nothing.
    if (error instanceof ArchiveDocumentError) return false;
    throw error;
  }
}

/** @throws ArchiveStoreError, and whatever is thrown once the signal is given. */
async function outcomeOf(
  { seal, logger }: SealRequestsOptions,
  requestId: string,
  signal: AbortSignal,
  onProgress: (step: SealStep) => void,
): Promise<SealStep> {
  try {
    const { manifest, unchanged } = await seal(requestId, signal, onProgress);
    const { generation, checksum: manifestChecksum, totals } = manifest;
    logger.info({ requestId, generation, unchanged, records: totals.records }, "sealed");
    const message = `sealed: ${totals.records} records, generation ${generation}${unchanged ? ", nothing changed since" : ""}`;
    return { state: "sealed", message, percent: 100, counts: totals, generation, manifestChecksum };
  } catch (error) {
    if (signal.aborted || error instanceof ArchiveStoreError) throw error;
    logger.error({ err: error, requestId }, "could not seal");
    return { state: "failed", message: (error as Error).message };
  }
}
