/**
 * Telling of a scheduled run that is interrupted: its time limit, a runner that goes. A person at a terminal has done it and
 * knows. Whoever interrupts does not wait long, so nothing is asked and each address gets one short attempt.
 */
import type { ClusterParts } from "../cluster/parts.ts";
import type { HeartbeatJob, Notifier } from "../notify/notifier.ts";

/** Never rejects. @param error what the interrupted work says of how it ended */
export async function tellCutOff(
  { stack, now, signal }: Pick<ClusterParts, "stack" | "now" | "signal">,
  notifier: Notifier,
  job: HeartbeatJob,
  error: unknown,
): Promise<void> {
  const [reason, how] = [signal.reason as unknown, error].map((each) =>
    each instanceof Error ? each.message : String(each),
  ) as [string, string];
  const text =
    `${job} was cut off: ${how.includes(reason) ? how : `${reason}. ${how}`}\n` +
    `What it has begun stays, and may bill: npm run --silent trading -- status --stack ${stack} shows it, ` +
    `and ${job} goes on with it`;
  await Promise.all([
    notifier.tell({ kind: "failed", stack, cluster: null, text, at: now().toISOString() }),
    notifier.beat(job, "fail"),
  ]);
}
