/**
 * Telling of a scheduled run that is interrupted: its time limit, a runner that goes. A person at a terminal has done it and
 * knows. It is told at once, and nothing is asked for it: whoever interrupts does not wait until the work has come to its end.
 */
import type { ClusterParts } from "../cluster/parts.ts";
import type { HeartbeatJob, Notifier } from "../notify/notifier.ts";

type Interrupted = Pick<ClusterParts, "stack" | "now" | "signal">;

/** Tells it; each address gets one short attempt. Never rejects. */
export async function tellCutOff(
  { stack, now, signal }: Interrupted,
  notifier: Notifier,
  job: HeartbeatJob,
): Promise<void> {
  const reason: unknown = signal.reason;
  const text =
    `${job} was cut off: ${reason instanceof Error ? reason.message : String(reason)}.\n` +
    "What it has begun stays, and may bill. " +
    `npm run --silent trading -- status --stack ${stack} shows it; ${job} goes on with it`;
  await Promise.all([
    notifier.tell({ kind: "failed", stack, cluster: null, text, at: now().toISOString() }),
    notifier.beat(job, "fail"),
  ]);
}

/** Does the work; should the signal come meanwhile, people are told. */
export async function withCutOffTold<Result>(
  parts: Interrupted,
  notifier: Notifier,
  job: HeartbeatJob,
  work: () => Promise<Result>,
): Promise<Result> {
  const { signal } = parts;
  let told: Promise<void> | undefined;
  const tell = (): void => void (told = tellCutOff(parts, notifier, job));
  if (signal.aborted) tell();
  else signal.addEventListener("abort", tell, { once: true });
  try {
    return await work();
  } finally {
    signal.removeEventListener("abort", tell);
    await told;
  }
}
