/** Follows the pipeline's topics while a day runs: how far it is, and when it says that trading is ready. */
import { pino } from "pino";
import { followTopics } from "../../services/bus/follow.ts";
import { connectKafka } from "../../services/bus/kafka.ts";
import { topicName, topics, type TopicDefinition } from "../../services/bus/topics.ts";
import {
  deadLetterTopic,
  hasCanonicalForm,
  isCanary,
  readEvent,
  type Stage,
  stageOf,
} from "./pipeline-events.ts";

/** Records by stage, canaries left out. */
export interface PipelineProgress extends Record<Stage, number> {
  /** Raw events from which a canonical one has to follow. */
  toNormalize: number;
  deadLetters: number;
}

/** A running watch. */
export interface PipelineWatch {
  /** What was seen so far. */
  readonly progress: Readonly<PipelineProgress>;
  /** Resolves when `trading_ready` is said on the control topic; rejects when the topics cannot be read any more. */
  readonly tradingReady: Promise<void>;
  /** Rejects when the topics cannot be read any more; never resolves. */
  readonly failed: Promise<never>;
  stop(): Promise<void>;
}

/**
 * Starts to read, from the beginning. The topics must exist.
 * @param brokers addresses of the day's Kafka.
 * @throws KafkaJSError when no broker answers.
 */
export async function watchPipeline(
  brokers: readonly string[],
  businessDate: string,
): Promise<PipelineWatch> {
  const logger = pino({ level: "silent" });
  const progress: PipelineProgress = {
    ingested: 0,
    toNormalize: 0,
    normalized: 0,
    commands: 0,
    results: 0,
    deadLetters: 0,
  };
  const { control, ...others } = topics;
  const watched = Object.values(others)
    .map((topic: TopicDefinition) => topicName(topic, businessDate))
    .filter((topic) => stageOf(topic) !== undefined || topic === deadLetterTopic);

  let fail: (error: unknown) => void = () => undefined;
  const failed = new Promise<never>((_resolve, reject) => (fail = reject));
  failed.catch(() => undefined);
  let ready: () => void = () => undefined;
  const tradingReady = Promise.race([new Promise<void>((resolve) => (ready = resolve)), failed]);
  tradingReady.catch(() => undefined);

  const follower = await followTopics({
    kafka: connectKafka({ brokers: [...brokers], clientId: "lab-watch", logger }),
    topics: [control.name, ...watched],
    name: "lab-watch",
    context: { logger, fatal: fail },
    onRecord: ({ topic, value }) => {
      const event = readEvent(value);
      if (topic === control.name) {
        if ((event as { type?: string } | undefined)?.type === "trading_ready") ready();
        return;
      }
      if (topic === deadLetterTopic) {
        progress.deadLetters++;
        return;
      }
      const stage = stageOf(topic);
      if (event === undefined || stage === undefined || isCanary(event)) return;
      progress[stage]++;
      if (stage === "ingested" && hasCanonicalForm(event)) progress.toNormalize++;
    },
  });
  return { progress, tradingReady, failed, stop: () => follower.stop() };
}
