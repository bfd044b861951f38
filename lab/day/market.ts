/** The market session: the feed is played to the ingestors while the pipeline's progress is watched in Kafka. */
import { setTimeout as delay } from "node:timers/promises";
import { Kafka, logLevel } from "kafkajs";
import type { Session } from "../session/index.ts";
import type { Progress } from "./progress.ts";
import type { World } from "./world.ts";
import { topicOffsets } from "../../services/bus/topic-offsets.ts";

/** How long the pipeline may stand still, with work left, before the session is given up. */
const stallMs = 60_000;
const pollMs = 250;
const reportEveryMs = 2_000;

/** Records by stage, from the log ends. */
interface Stages {
  ingested: number;
  normalized: number;
  commands: number;
  results: number;
}

/** Sum of `high - low` over a topic's partitions; a topic that does not exist yet has no records. */
async function countRecords(admin: ReturnType<Kafka["admin"]>, topic: string): Promise<number> {
  const offsets = await topicOffsets(admin, topic).catch((error: unknown) => {
    if ((error as { type?: string }).type === "UNKNOWN_TOPIC_OR_PARTITION") return [];
    throw error;
  });
  return offsets.reduce((sum, { high, low }) => sum + Number(high) - Number(low), 0);
}

/**
 * Plays the session and waits until the pipeline has taken everything in and answered every command.
 * @param signal aborted: no further message is played and the watch ends.
 * @returns how many messages the venues sent. Fewer arrived than were sent when the pipeline stalled, which is
 *   told; the judge counts them as lost.
 */
export async function playSession(
  world: World,
  session: Session,
  businessDate: string,
  rate: number,
  progress: Progress,
  signal: AbortSignal,
): Promise<number> {
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

  const kafka = new Kafka({
    clientId: "lab-session-watch",
    brokers: world.endpoints.kafka.brokers.split(","),
    logLevel: logLevel.NOTHING,
  });
  const admin = kafka.admin();
  await admin.connect();
  try {
    let before = "";
    let changedAt = performance.now();
    let reportedAt = 0;
    while (!signal.aborted) {
      const [stock, quotes, normalized, commands, results] = await Promise.all(
        [
          `stock-stream-${businessDate}`,
          "raw.near-intents.quote",
          "norm.swap_demand",
          "cmd.execute_trade",
          "exec.trade_result",
        ].map((topic) => countRecords(admin, topic)),
      );
      const stages: Stages = {
        ingested: (stock ?? 0) + (quotes ?? 0),
        normalized: normalized ?? 0,
        commands: commands ?? 0,
        results: results ?? 0,
      };
      const now = performance.now();
      const seen = JSON.stringify(stages);
      if (seen !== before) changedAt = now;
      before = seen;
      if (now - reportedAt >= reportEveryMs) {
        reportedAt = now;
        progress.line(describeStages(stages, total));
      }
      const isTaken = stages.ingested >= sent && stages.normalized >= (quotes ?? 0);
      if (played && isTaken && stages.results >= stages.commands && now - changedAt >= 2 * pollMs) {
        progress.line(describeStages(stages, total));
        break;
      }
      if (now - changedAt > stallMs) {
        progress.line(
          `the pipeline stands still since ${stallMs / 1000} s: ${describeStages(stages, total)}`,
        );
        break;
      }
      await Promise.race([delay(pollMs), played ? delay(pollMs) : finished]);
    }
  } finally {
    await admin.disconnect();
  }
  if (!played && !signal.aborted)
    throw new Error("the venues' feed was not taken: an ingestor does not read");
  return play;
}

function describeStages(stages: Stages, total: number): string {
  return (
    `${stages.ingested} of ${total} ingested, ${stages.normalized} normalized, ` +
    `${stages.commands} commands, ${stages.results} results`
  );
}
