/**
 * The drain: before a cluster's topics are sealed in the archive, every service stops in the order of the
 * data's flow and says so on the `control` topic. The archiver asks (`drain`), each service waits until all
 * that write to its inputs have answered (`drained`), consumes to the end, and answers itself. A cluster that
 * was asked once stays drained: ingestors never connect again, the others have nothing left to read.
 */
import type { Kafka } from "kafkajs";
import { z } from "zod";
import { mistakesOf } from "../core/events.ts";
import type { ServiceContext } from "../core/service.ts";
import { instantString, toInstant } from "../core/time.ts";
import { followTopics } from "./follow.ts";
import type { BatchingProducer } from "./producer.ts";
import type { OutgoingRecord, ReceivedRecord } from "./record.ts";
import { topics } from "./topics.ts";

/** What is said on the control topic. */
export const controlMessage = z.discriminatedUnion("type", [
  z.object({ type: z.literal("drain"), requestId: z.string().min(1), at: instantString }),
  z.object({
    type: z.literal("drained"),
    service: z.string().min(1),
    requestId: z.string().min(1),
    at: instantString,
  }),
]);
export type ControlMessage = z.infer<typeof controlMessage>;

/** A control message as a record. @param speaker name of the service that says it. */
export function controlRecord(message: ControlMessage, speaker: string): OutgoingRecord {
  return { topic: topics.control.name, key: speaker, value: Buffer.from(JSON.stringify(message)) };
}

/**
 * Reads a control message.
 * @throws Error that names what is wrong.
 */
export function readControl(record: Pick<ReceivedRecord, "value">): ControlMessage {
  const parsed = controlMessage.safeParse(JSON.parse(record.value?.toString("utf8") ?? "null"));
  if (!parsed.success) throw new Error(`not a control message: ${mistakesOf(parsed.error).join("; ")}`);
  return parsed.data;
}

/** What the control topic says so far: which drains were requested, and who has answered them. */
export class DrainState {
  readonly #answers = new Map<string, Set<string>>();
  readonly #requests: string[] = [];
  #waiters: { requestId: string; services: readonly string[]; resolve: () => void }[] = [];

  /** Requests in the order they came. */
  get requests(): readonly string[] {
    return this.#requests;
  }

  /** Takes one message in. @returns the id of a drain request not seen before. */
  apply(message: ControlMessage): string | undefined {
    switch (message.type) {
      case "drain":
        if (this.#requests.includes(message.requestId)) return undefined;
        this.#requests.push(message.requestId);
        return message.requestId;
      case "drained": {
        const answers = this.#answers.get(message.requestId) ?? new Set<string>();
        answers.add(message.service);
        this.#answers.set(message.requestId, answers);
        this.#waiters = this.#waiters.filter((waiter) => {
          if (this.unanswered(waiter.requestId, waiter.services).length > 0) return true;
          waiter.resolve();
          return false;
        });
        return undefined;
      }
    }
  }

  /** Those of `services` that have not answered a request. */
  unanswered(requestId: string, services: readonly string[]): string[] {
    return services.filter((service) => this.#answers.get(requestId)?.has(service) !== true);
  }

  /** Resolves when all of `services` have answered a request. */
  answered(requestId: string, services: readonly string[]): Promise<void> {
    if (this.unanswered(requestId, services).length === 0) return Promise.resolve();
    return new Promise((resolve) => this.#waiters.push({ requestId, services, resolve }));
  }
}

/** Arguments of {@link startDrain}. */
export interface DrainOptions {
  kafka: Kafka;
  producer: BatchingProducer;
  context: ServiceContext;
  /**
   * Finishes the work: called for each request, one after the other, when all of DRAIN_AFTER have answered it.
   * After it resolves, everything queued in the producer is flushed and `drained` is published. Rejecting is fatal.
   */
  drain(signal: AbortSignal): Promise<void>;
}

/** The service's part in the drain. */
export interface Drain {
  /** Whether a drain of this cluster had been requested before this service started. */
  readonly requestedBefore: boolean;
}

/**
 * Reads the control topic to its end, then follows it and answers drain requests until the service stops.
 * Requests that an earlier life of this service left unanswered are answered, answered ones are left alone.
 * @throws KafkaJSError when the control topic does not exist or no broker answers.
 */
export async function startDrain(options: DrainOptions): Promise<Drain> {
  const { context, producer } = options;
  const service = context.settings.SERVICE_NAME;
  const state = new DrainState();
  let caughtUp = false;
  let work = Promise.resolve();

  const answer = (requestId: string): void => {
    work = work.then(async () => {
      if (context.signal.aborted || state.unanswered(requestId, [service]).length === 0) return;
      context.logger.info({ requestId, after: context.settings.DRAIN_AFTER }, "drain requested");
      await state.answered(requestId, context.settings.DRAIN_AFTER);
      await options.drain(context.signal);
      await producer.flush();
      await producer.send(
        controlRecord({ type: "drained", service, requestId, at: toInstant(Date.now()) }, service),
      );
      context.logger.info({ requestId }, "drained");
    });
    work.catch((error: unknown) => {
      if (!context.signal.aborted) context.fatal(error);
    });
  };

  const follower = await followTopics({
    kafka: options.kafka,
    topics: [topics.control.name],
    name: `control-${service}`,
    context,
    // One partition on one broker, and a stop may wait this long: two fetches a second are enough to hold it open.
    maxWaitTimeInMs: 500,
    onRecord: (record) => {
      let message: ControlMessage;
      try {
        message = readControl(record);
      } catch (error) {
        context.logger.error({ err: error, offset: record.offset }, "unreadable control message ignored");
        return;
      }
      const request = state.apply(message);
      if (request !== undefined && caughtUp) answer(request);
    },
  });
  context.onStop("control", () => follower.stop());
  caughtUp = true;
  const requestedBefore = state.requests.length > 0;
  for (const request of state.requests) answer(request);
  return { requestedBefore };
}
