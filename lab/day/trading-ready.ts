/** Nothing is played before the pipeline has shown, with its own canaries, that it trades. */
import { LabError } from "../errors.ts";
import { tail, type Workloads } from "../workloads/index.ts";
import type { PipelineWatch } from "./watch.ts";

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
