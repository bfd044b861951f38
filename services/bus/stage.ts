/**
 * A stage of the pipeline: reads events of one type and writes the events that follow from each. The
 * transformation is pure, so records are written in the order they were read and a repeat writes the same bytes.
 */
import type { Kafka } from "kafkajs";
import { decodeEvent, InvalidEventError, type EventType, type PayloadOf } from "../core/events.ts";
import type { Event } from "../core/envelope.ts";
import { forEvent } from "../core/log.ts";
import type { ServiceContext } from "../core/service.ts";
import { startConsumer } from "./consumer.ts";
import { putAside } from "./dead-letters.ts";
import { startDrain } from "./drain.ts";
import { connectKafka } from "./kafka.ts";
import { waitForLogEnd } from "./log-end.ts";
import { startProducer, type BatchingProducer } from "./producer.ts";
import type { OutgoingRecord, ReceivedRecord } from "./record.ts";

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

/** A transformation refuses an event: it is put on the dead-letter topic and the stream goes on. */
export class RefusedEventError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "RefusedEventError";
  }
}

/** Arguments of {@link startStage}. */
export interface StageOptions<Type extends EventType> {
  context: ServiceContext;
  /** Topic to read. */
  topic: string;
  /** Type of its events. */
  type: Type;
  /**
   * What to write for an event, in order. Must depend on the event alone.
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
  await startConsumer({
    kafka,
    groupId,
    topics: [topic],
    context,
    handle: async (records) => {
      await Promise.all(records.map((record) => handleRecord(record, options, producer)));
    },
  });
  await startConsumerDrain({ kafka, producer }, context, groupId, [topic]);
}

/** Queues what follows from one record, in the current turn, so that the order of records is kept. */
function handleRecord<Type extends EventType>(
  record: ReceivedRecord,
  options: StageOptions<Type>,
  producer: BatchingProducer,
): Promise<void> {
  let event: Event<PayloadOf<Type>> | undefined;
  try {
    event = decodeEvent(options.type, record.value);
    return producer.sendAll(options.transform(event));
  } catch (error) {
    if (!(error instanceof RefusedEventError || error instanceof InvalidEventError)) throw error;
    const { context } = options;
    const logger = event === undefined ? context.logger : forEvent(context.logger, event);
    return putAside(record, error, producer, { ...context, logger });
  }
}

/** Takes part in the drain as a consumer: everything in `topics` is consumed, then `finish` runs, then it is answered. */
export async function startConsumerDrain(
  bus: Bus,
  context: ServiceContext,
  groupId: string,
  topics: readonly string[],
  finish: () => Promise<void> = () => Promise.resolve(),
): Promise<void> {
  await startDrain({
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
  });
}
