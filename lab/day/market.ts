/** The market session: the feed is played to the ingestors while the pipeline's progress is watched. */
import { setTimeout as delay } from "node:timers/promises";
import type { Session } from "../session/index.ts";
import type { Progress } from "./progress.ts";
import type { PipelineProgress, PipelineWatch } from "./watch.ts";
import type { World } from "./world.ts";

/** How long the pipeline may stand still, with work left, before the session is given up. */
const stallMs = 60_000;
const pollMs = 250;
const reportEveryMs = 2_000;

export interface SessionPlay {
  world: World;
  session: Session;
  watch: PipelineWatch;
  /** Messages a second over all venues. */
  rate: number;
  progress: Progress;
  /** Aborted: no further message is played and the watch ends. */
  signal: AbortSignal;
}

/**
 * Plays the session and waits until the pipeline has taken everything in and answered every command.
 * @returns how many messages the venues sent. Fewer arrived than were sent when the pipeline stalled, which is
 *   told; the judge counts them as lost.
 * @throws Error when an ingestor does not read, or the pipeline cannot be watched.
 */
export async function playSession(args: SessionPlay): Promise<number> {
  const { world, session, watch, rate, progress, signal } = args;
  const total = session.alpacaMessages.length + session.nearQuotes.length;
  const share = (count: number) => Math.max(1, (rate * count) / total);
  let sent = 0;
  const play = Promise.all([
    world.alpaca.play(session.alpacaMessages, {
      ratePerSecond: share(session.alpacaMessages.length),
      signal,
    }),
    world.near.play(session.nearQuotes, { ratePerSecond: share(session.nearQuotes.length), signal }),
  ]).then(([messages, quotes]) => {
    sent = messages + quotes;
    return sent;
  });
  let played = false;
  const finished = play.then(
    () => (played = true),
    () => (played = true),
  );

  let before = "";
  let changedAt = performance.now();
  let reportedAt = 0;
  while (!signal.aborted) {
    const seen = describeProgress(watch.progress, total);
    const now = performance.now();
    if (seen !== before) changedAt = now;
    before = seen;
    if (now - reportedAt >= reportEveryMs) {
      reportedAt = now;
      progress.line(seen);
    }
    if (played && isTaken(watch.progress, sent) && now - changedAt >= 2 * pollMs) {
      progress.line(seen);
      break;
    }
    if (now - changedAt > stallMs) {
      progress.line(`the pipeline stands still since ${stallMs / 1000} s: ${seen}`);
      break;
    }
    await Promise.race([delay(pollMs), watch.failed, played ? delay(pollMs) : finished]);
  }
  if (!played && !signal.aborted)
    throw new Error("the venues' feed was not taken: an ingestor does not read");
  return play;
}

/** Whether all that was sent has gone as far as it will. */
function isTaken(stages: Readonly<PipelineProgress>, sent: number): boolean {
  return (
    stages.ingested >= sent &&
    stages.normalized + stages.deadLetters >= stages.toNormalize &&
    stages.results >= stages.commands
  );
}

function describeProgress(stages: Readonly<PipelineProgress>, total: number): string {
  return (
    `${stages.ingested} of ${total} ingested, ${stages.normalized} normalized, ` +
    `${stages.commands} commands, ${stages.results} results` +
    (stages.deadLetters === 0 ? "" : `, ${stages.deadLetters} dead letters`)
  );
}
