/**
 * A stage of the pipeline: reads events of one type and writes the events that follow from each. The
 * transformation is pure, so records are written in the order they were read and a repeat writes the same bytes. Raw
 * canaries pass without it.
 */
import type { Kafka } from "kafkajs";
import { decodeEvent, InvalidEventError, type EventType, type PayloadOf } from "../core/events.ts";
import type { Event } from "../core/envelope.ts";
import { assertPlausibleClock, ImplausibleClockError } from "../core/plausible-clock.ts";
import { forEvent } from "../core/log.ts";
import type { ServiceContext } from "../core/service.ts";
import { fromInstant } from "../core/time.ts";
import { startConsumer } from "./consumer.ts";
import { putAside } from "./dead-letters.ts";
import type { ControlMessage } from "./control.ts";
import { startDrain, type Drain } from "./drain.ts";
import { connectKafka } from "./kafka.ts";
import { waitForLogEnd } from "./log-end.ts";
import { RecordTooLargeError, startProducer, type BatchingProducer } from "./producer.ts";
import type { OutgoingRecord, ReceivedRecord } from "./record.ts";
import { RefusedEventError } from "./refused-event.ts";
import { isRawCanary, normalizeCanary } from "./stage-canary.ts";

export { RefusedEventError } from "./refused-event.ts";

/** Kafka, as a service uses it. */
export interface Bus {
  readonly kafka: Kafka;
  readonly producer: BatchingProducer;
}

/** Connects a service to Kafka; the producer stops with the service. @throws KafkaJSError when no broker answers. */
export async function connectBus(context: ServiceContext): Promise<Bus> {
  const { settings, logger } = context;
  const kafka = connectKafka({ brokers: settings.KAFKA_BROKERS, clientId: settings.SERVICE_NAME, logger });
  return { kafka, producer: await startProducer(kafka, context) };
}

/** Arguments of {@link startStage}. */
export interface StageOptions<Type extends EventType> {
  context: ServiceContext;
  /** Topic to read. */
  topic: string;
  /** Type of its events. */
  type: Type;
  /**
   * What to write for an event, in order. Must depend on the event alone. Is not called for canaries.
   * @throws RefusedEventError when the event cannot be used; any other error is fatal.
   */
  transform(event: Event<PayloadOf<Type>>): OutgoingRecord[];
}

/**
 * Starts a stage with the service's name as consumer group; it takes part in the drain and stops with the service.
 * @throws KafkaJSError when no broker answers or the topic does not exist.
 */
export async function startStage<Type extends EventType>(options: StageOptions<Type>): Promise<void> {
  const { context, topic } = options;
  const groupId = context.settings.SERVICE_NAME;
  const { kafka, producer } = await connectBus(context);
  const handle = stageHandler(options, producer);
  await startConsumer({
    kafka,
    groupId,
    topics: [topic],
    context,
    handle: async (records) => {
      await Promise.all(records.map(handle));
    },
  });
  await startConsumerDrain({ kafka, producer }, context, groupId, [topic]);
}

/**
 * Makes the function that queues what follows from one record, in the current turn, so that the order of records is
 * kept. Its promise resolves when that is acknowledged; a record that cannot be used is put aside.
 */
export function stageHandler<Type extends EventType>(
  options: Pick<StageOptions<Type>, "type" | "transform"> & {
    context: Pick<ServiceContext, "settings" | "logger" | "metrics">;
  },
  producer: Pick<BatchingProducer, "send" | "sendAll">,
): (record: ReceivedRecord) => Promise<void> {
  const { context } = options;
  const isRaw = options.type.startsWith("raw.");
  const aside = (record: ReceivedRecord, error: unknown, event?: Event): Promise<void> => {
    const isRefusal =
      error instanceof RefusedEventError ||
      error instanceof InvalidEventError ||
      error instanceof ImplausibleClockError ||
      error instanceof RecordTooLargeError;
    if (!isRefusal) throw error;
    const logger = event === undefined ? context.logger : forEvent(context.logger, event);
    return putAside(record, error, producer, { ...context, logger });
  };
  return (record) => {
    let event: Event<PayloadOf<Type>> | undefined;
    try {
      if (record.key === null)
        throw new RefusedEventError("the record has no key, so its order is not defined");
      event = decodeEvent(options.type, record.value);
      if (isRaw) assertPlausibleClock(event, context.settings.MAX_EVENT_AGE_DAYS);
      const cause = event;
      const sent = isRawCanary(cause)
        ? producer.send(normalizeCanary(cause, record.partition))
        : producer.sendAll(options.transform(cause));
      const ingestedAt = fromInstant(cause.ingested_at);
      return sent.then(
        () => context.metrics.stageLatency.observe({ stage: "norm" }, (Date.now() - ingestedAt) / 1000),
        (error: unknown) => aside(record, error, cause),
      );
    } catch (error) {
      return aside(record, error, event);
    }
  };
}

/**
 * Takes part in the drain as a consumer: everything in `topics` is consumed, then `finish` runs, then it is answered.
 * @param onMessage sees every control message, those from before the start included.
 */
export function startConsumerDrain(
  bus: Bus,
  context: ServiceContext,
  groupId: string,
  topics: readonly string[],
  finish: () => Promise<void> = () => Promise.resolve(),
  onMessage: (message: ControlMessage) => void = () => undefined,
): Promise<Drain> {
  return startDrain({
    ...bus,
    context,
    drain: async (signal) => {
      const admin = bus.kafka.admin();
      await admin.connect();
      try {
        await waitForLogEnd(admin, groupId, topics, signal);
      } finally {
        await admin.disconnect();
      }
      await finish();
    },
    onMessage,
  });
}
