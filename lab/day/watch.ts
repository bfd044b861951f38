/** Follows the pipeline's topics while a day runs: how far it is, and when it says that trading is ready. */
import { pino } from "pino";
import { type Follower, followTopics } from "../../services/bus/follow.ts";
import { connectKafka } from "../../services/bus/kafka.ts";
import type { ReceivedRecord } from "../../services/bus/record.ts";
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

const nothingSeen: PipelineProgress = {
  ingested: 0,
  toNormalize: 0,
  normalized: 0,
  commands: 0,
  results: 0,
  deadLetters: 0,
};

/** How often reading is begun anew in one day. */
const mostRestarts = 5;

/**
 * Whether kafkajs found no coordinator. With one broker that answers late it says so at once and stops for good, although
 * its own retries would find one (`withBroker` of its broker pool drops the reason).
 */
function foundNoCoordinator(error: unknown): boolean {
  const cause = error instanceof Error ? error.cause : undefined;
  return cause instanceof Error && cause.name === "KafkaJSGroupCoordinatorNotFound";
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
  const progress: PipelineProgress = { ...nothingSeen };
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

  const onRecord = ({ topic, value }: ReceivedRecord): void => {
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
  };
  const options = {
    kafka: connectKafka({ brokers: [...brokers], clientId: "lab-watch", logger }),
    topics: [control.name, ...watched],
    name: "lab-watch",
    onRecord,
  };
  let isStopped = false;
  let restartsLeft = mostRestarts;
  /** Follows from the beginning, and again when a lone broker that is busy made kafkajs give up. */
  const follow = async (): Promise<Follower> => {
    Object.assign(progress, nothingSeen);
    const fatal = (error: unknown): void => {
      if (isStopped || restartsLeft-- <= 0 || !foundNoCoordinator(error)) return fail(error);
      follower = follower.then(
        (former) => former.stop().then(follow),
        () => follow(),
      );
      follower.catch(fail);
    };
    return followTopics({ ...options, context: { logger, fatal } });
  };
  let follower = follow();
  for (let awaited: Promise<Follower> | undefined; awaited !== follower;) {
    awaited = follower;
    await awaited.catch((error: unknown) => {
      // Otherwise it was begun anew.
      if (awaited === follower) throw error;
    });
  }
  const stop = async (): Promise<void> => {
    isStopped = true;
    await (await follower).stop();
  };
  return { progress, tradingReady, failed, stop };
}
