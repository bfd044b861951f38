/** From before `send` to the handler's hands, producer and consumer in one process, at a steady rate. */
import { setTimeout as delay } from "node:timers/promises";
import { startConsumer } from "../../services/bus/consumer.ts";
import { connectKafka } from "../../services/bus/kafka.ts";
import { startProducer } from "../../services/bus/producer.ts";
import type { ServiceContext } from "../../services/core/service.ts";
import { eventBytes } from "../events.ts";
import { summarize } from "../statistics.ts";
import type { Latency, LatencyOptions } from "../worker-options.ts";

/** See the module's description. */
export async function measureLatency(context: ServiceContext, options: LatencyOptions): Promise<Latency> {
  const { topic, rate } = options;
  const kafka = connectKafka({
    brokers: options.brokers,
    clientId: context.settings.SERVICE_NAME,
    logger: context.logger,
  });
  const total = rate * (options.seconds + options.warmupSeconds);
  const sentAt = new Float64Array(total);
  const takenAt = new Float64Array(total);
  let received = 0;
  let assigned = (): void => undefined;
  let done: () => void = () => undefined;
  const ready = new Promise<void>((resolve) => {
    assigned = resolve;
  });
  const all = new Promise<void>((resolve) => {
    done = resolve;
  });
  const producer = await startProducer(kafka, context);
  await startConsumer({
    kafka,
    groupId: context.settings.SERVICE_NAME,
    topics: [topic],
    context,
    handle: async (records) => {
      const now = performance.now();
      for (const { value } of records) {
        const number = Number((value as Buffer).toString("latin1", 0, 8));
        if (number === opening) {
          assigned();
          continue;
        }
        takenAt[number] = now;
        received += 1;
      }
      if (received >= total) done();
    },
  });
  // The consumer reads from the beginning, so this record tells that it has been given the partitions.
  await producer.send({ topic, key: "opening", value: numbered(opening) });
  await ready;

  const start = performance.now();
  for (let next = 0; next < total;) {
    // Once a millisecond, as the Java reference does.
    const due = Math.min(total, Math.floor(((performance.now() - start) * rate) / 1_000));
    for (; next < due; next++) {
      const value = numbered(next);
      sentAt[next] = performance.now();
      producer
        .send({ topic, key: `key-${next % 97}`, value })
        .catch((error: unknown) => context.fatal(error));
    }
    await delay(1);
  }
  await all;
  const unmeasured = rate * options.warmupSeconds;
  const milliseconds: number[] = [];
  for (let at = unmeasured; at < total; at++) {
    milliseconds.push((takenAt[at] as number) - (sentAt[at] as number));
  }
  return summarize(milliseconds);
}

/** Number of the record that only opens the way. */
const opening = 99_999_999;

function numbered(number: number): Buffer {
  const value = Buffer.alloc(eventBytes, "x");
  value.write(String(number).padStart(8, "0"), 0, "latin1");
  return value;
}
