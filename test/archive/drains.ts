/** Services that have nothing to finish: they answer each drain request at once. Stands in for all of a cluster's. */
import { setTimeout as delay } from "node:timers/promises";
import type { Kafka } from "kafkajs";
import type { Logger } from "pino";
import { controlRecord, readControl } from "../../services/bus/control.ts";
import { DrainState } from "../../services/bus/drain.ts";
import { followTopics } from "../../services/bus/follow.ts";
import { compression } from "../../services/bus/kafka.ts";
import { toInstant } from "../../services/core/time.ts";

/** The services that the archiver of a check waits for. */
export const drainingServices = ["service-a", "service-b"];

/** See the module's description. */
export interface AnswersDrains {
  /** While true no request is answered; those that came meanwhile are answered when it is set to false. */
  silent: boolean;
  /** Ids of all requests so far. */
  readonly requests: readonly string[];
  stop(): Promise<void>;
}

/** Begins to answer, also what was asked before. */
export async function answerDrains(kafka: Kafka, logger: Logger): Promise<AnswersDrains> {
  const producer = kafka.producer({ allowAutoTopicCreation: false });
  await producer.connect();
  const state = new DrainState();
  const waiting: string[] = [];
  let silent = false;
  let stopped = false;
  const answer = (): void => {
    if (silent) return;
    for (const requestId of waiting.splice(0)) {
      const messages = drainingServices.map((service) => {
        const said = { type: "drained", service, requestId, at: toInstant(Date.now()) } as const;
        const { key, value } = controlRecord(said, service);
        return { key, value };
      });
      void say(messages, requestId);
    }
  };
  /** Until it is said: a seal waits for it. */
  const say = async (
    messages: { key: string | Buffer | null; value: Buffer | null }[],
    requestId: string,
  ) => {
    while (!stopped) {
      try {
        await producer.send({ topic: "control", acks: -1, compression, messages });
        return;
      } catch (error) {
        logger.error({ err: error, requestId }, "could not answer a drain request, trying again");
        await delay(200);
      }
    }
  };
  const follower = await followTopics({
    kafka,
    topics: ["control"],
    name: "answering-services",
    context: { logger, fatal: (error) => logger.error({ err: error }, "control reader failed") },
    onRecord: (record) => {
      const requestId = state.apply(readControl(record));
      if (requestId !== undefined) waiting.push(requestId);
      answer();
    },
  });
  return {
    get silent() {
      return silent;
    },
    set silent(value) {
      silent = value;
      answer();
    },
    requests: state.requests,
    stop: async () => {
      stopped = true;
      await follower.stop();
      await producer.disconnect();
    },
  };
}
