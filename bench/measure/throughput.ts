/** How fast the batching producer writes, and how fast the consumer loop reads. */
import { setTimeout as delay } from "node:timers/promises";
import { startConsumer } from "../../services/bus/consumer.ts";
import { connectKafka } from "../../services/bus/kafka.ts";
import { startProducer } from "../../services/bus/producer.ts";
import { decodeEvent } from "../../services/core/events.ts";
import type { ServiceContext } from "../../services/core/service.ts";
import { encodedEvents, eventType } from "../events.ts";
import type { ConsumeOptions, ProduceOptions, Throughput } from "../worker-options.ts";
import { startStopwatch } from "./stopwatch.ts";

const client = (context: ServiceContext, brokers: readonly string[]) =>
  connectKafka({ brokers, clientId: context.settings.SERVICE_NAME, logger: context.logger });

/** Events that are written before the measurement: connections, metadata and the first, slow sends are no throughput. */
const opening = 1_000;

/**
 * Writes `count` events that are encoded already, as fast as the producer takes them or at the rate that is asked for. The
 * first {@link opening} of them are not measured.
 */
export async function measureProduce(context: ServiceContext, options: ProduceOptions): Promise<Throughput> {
  const { topic, count, rate } = options;
  const producer = await startProducer(client(context, options.brokers), context);
  const events = encodedEvents();
  const before = Math.min(opening, count);
  await producer.sendAll(events.slice(0, before).map(({ key, value }) => ({ topic, key, value })));
  const finish = startStopwatch();
  const started = performance.now();
  for (let sent = before; sent < count; sent++) {
    if (rate !== undefined && sent % pacedEvents === 0) {
      const due = started + ((sent - before) / rate) * 1_000;
      if (performance.now() < due) await delay(due - performance.now());
    }
    const { key, value } = events[sent % events.length] as (typeof events)[number];
    producer.send({ topic, key, value }).catch((error: unknown) => context.fatal(error));
    if (!producer.hasRoom) await producer.room();
  }
  await producer.flush();
  return finish(count - before);
}

/** Between two looks at the clock; few enough that they come evenly. */
const pacedEvents = 20;

/** Reads `count` events from the beginning of a topic. */
export async function measureConsume(context: ServiceContext, options: ConsumeOptions): Promise<Throughput> {
  const { count, decode } = options;
  let finish: (() => Throughput) | undefined;
  let records = 0;
  let done: () => void = () => undefined;
  const all = new Promise<void>((resolve) => {
    done = resolve;
  });
  await startConsumer({
    kafka: client(context, options.brokers),
    groupId: context.settings.SERVICE_NAME,
    topics: [options.topic],
    context,
    handle: async (batch) => {
      if (finish === undefined) {
        const stop = startStopwatch();
        finish = () => stop(records);
      }
      if (decode) for (const { value } of batch) decodeEvent(eventType, value);
      records += batch.length;
      if (records >= count) done();
    },
  });
  await all;
  return (finish as unknown as () => Throughput)();
}
