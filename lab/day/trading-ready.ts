/** Nothing is played before the pipeline has shown, with its own canaries, that it trades. */
import { setTimeout as delay } from "node:timers/promises";
import type { ClusterArchive } from "../../services/archive/cluster-archive.ts";
import { type TradingReady, tradingReadySchema } from "../../services/archive/documents.ts";
import { documents } from "../../services/archive/layout.ts";
import { LabError } from "../errors.ts";
import { tail, type Workloads } from "../workloads/index.ts";
import type { PipelineWatch } from "./watch.ts";

/** From the monitor's word to the archiver's document in the bucket. */
const documentDeadlineMs = 30_000;

/** From the services' readiness to trading-ready: a round of canaries takes seconds, a lost one is sent again. */
const tradingReadyDeadlineMs = 90_000;

/**
 * Waits until the monitor says on the control topic that trading is ready.
 * @throws LabError with the monitor's last words when it does not; the signal's reason when it is aborted.
 */
export async function waitForTradingReady(
  watch: PipelineWatch,
  workloads: Workloads,
  signal: AbortSignal,
): Promise<void> {
  const late = AbortSignal.timeout(tradingReadyDeadlineMs);
  const ended = AbortSignal.any([signal, late]);
  const wait = new Promise<never>((_resolve, reject) => {
    ended.addEventListener("abort", () => reject(ended.reason as Error), { once: true });
  });
  try {
    await Promise.race([watch.tradingReady, wait]);
  } catch (error) {
    if (!late.aborted || signal.aborted) throw error;
    const monitor = workloads.pods.find(({ name }) => name === "result-monitor");
    throw new LabError(
      `Trading is not ready ${tradingReadyDeadlineMs / 1000} s after the services are: the canaries have not come ` +
        `through every path. The monitor's log ends:\n${monitor === undefined ? "(no monitor)" : tail(monitor.logFile)}`,
    );
  }
}

/**
 * Waits for what `trading open` waits for: the archiver's document in the bucket.
 * @throws LabError when it does not come, or says that the cluster must not trade; the signal's reason
 */
export async function readTradingReady(archive: ClusterArchive, signal: AbortSignal): Promise<TradingReady> {
  const until = performance.now() + documentDeadlineMs;
  for (;;) {
    const document = await archive.read(documents.ready, tradingReadySchema);
    if (document?.ready === true) {
      const { accounts, stopped } = document;
      if (accounts !== null && accounts.length > 0 && stopped.length === 0) return document;
      throw new LabError(
        `${documents.ready} says that the cluster must not trade: ${JSON.stringify(document)}`,
      );
    }
    if (performance.now() > until)
      throw new LabError(
        `${documents.ready} does not say within ${documentDeadlineMs / 1_000} s that trading is ready: ${JSON.stringify(document)}`,
      );
    await delay(100, undefined, { signal });
  }
}

/** For people: what the document says. */
export function describeTradingReady({ canaries, accounts, clockSkewMs }: TradingReady): string {
  const compared = (accounts ?? []).map(({ venue, outcome }) => `${venue}'s account ${outcome}`);
  const clock =
    clockSkewMs === null ? "the clock not compared" : `the clock ${clockSkewMs} ms off the bucket's`;
  return `${documents.ready} is in the bucket: ${canaries} canaries, ${compared.join(", ")}, ${clock}`;
}
