/** The gate's wait for the archiver: what it says of the gate's own request, and nothing older, counts. */
import { setTimeout as delay } from "node:timers/promises";
import { ArchiveDocumentError, type ClusterArchive } from "./cluster-archive.ts";
import { type SealProgress, sealProgressSchema, type SealRequest, sealRequestSchema } from "./documents.ts";
import { documents } from "./layout.ts";
import { ArchiveUnreachableError } from "./store.ts";

/** The archiver's answer did not come, or is a refusal; the message says which, not yet what to do. */
export class NoSealError extends Error {
  override readonly name = "NoSealError";
  /** Nobody answered in time: whoever has to answer may be gone. */
  readonly silent: boolean;

  constructor(message: string, silent: boolean) {
    super(message);
    this.silent = silent;
  }
}

/** Arguments of {@link waitForSeal}. */
export interface WaitOptions {
  archive: ClusterArchive;
  request: SealRequest;
  /** Longest wait, in milliseconds. */
  timeoutMs: number;
  /** Receives lines for people. */
  report: (line: string) => void;
  signal: AbortSignal;
}

const pollMs = 400;
/** People see at least this often that something goes on. */
const lineEveryMs = 2_000;
/** The archiver gives a sign every few seconds; without one for this long, the lines say what to look at. */
const silenceMs = 30_000;

/**
 * Waits until the archiver has sealed, and tells what it does meanwhile.
 * @returns the progress that says "sealed" to this request.
 * @throws NoSealError; ArchiveStoreError, but for a bucket that does not answer: it gets the time there is; the signal's reason.
 */
export async function waitForSeal(options: WaitOptions): Promise<SealProgress> {
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
    const seen = await look(options);
    const progress = typeof seen === "string" ? undefined : seen;
    if (progress !== undefined && progress.updatedAt !== lastUpdate) {
      lastUpdate = progress.updatedAt;
      lastSign = performance.now();
    }
    if (progress?.state === "sealed") return progress;
    if (progress?.state === "failed") {
      throw new NoSealError(`The archive is not sealed: ${progress.message}`, false);
    }
    const silentMs = performance.now() - lastSign;
    const hint =
      silentMs > silenceMs
        ? ` (no sign of the archiver for ${Math.round(silentMs / 1_000)} s: is the cluster up, does the archiver run, can it write to the bucket?)`
        : "";
    const text =
      typeof seen === "string"
        ? seen
        : seen === undefined
          ? "waiting for the archiver to answer"
          : `${seen.percent === undefined ? "" : `${Math.round(seen.percent)} % `}${seen.message}`;
    show(`${text}${hint}`);
    if (performance.now() - startedAt > timeoutMs) {
      throw new NoSealError(
        `Not sealed within ${timeoutMs / 1_000} s; last: ${text}${hint}. A longer wait is GATE_TIMEOUT_SECONDS.`,
        hint !== "" || progress === undefined,
      );
    }
    await delay(pollMs, undefined, { signal });
  }
}

/** The archiver's progress with this request, if there is any yet; text says what keeps from seeing it. */
async function look({ archive, request }: WaitOptions): Promise<SealProgress | string | undefined> {
  const { requestId } = request;
  try {
    const progress = await archive.read(documents.sealProgress, sealProgressSchema);
    if (progress?.requestId === requestId) return progress;
    const current = await archive.read(documents.sealRequest, sealRequestSchema);
    if (current?.requestId === requestId) return undefined;
  } catch (error) {
    // The bucket answered a moment ago, and the archiver writes its progress anew.
    if (!(error instanceof ArchiveUnreachableError || error instanceof ArchiveDocumentError)) throw error;
    return error.message;
  }
  throw new NoSealError("Another seal was requested meanwhile: is the cluster being destroyed twice?", false);
}
