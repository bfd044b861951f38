/** What is read off the topics of the path: when each event was written, and when a result reached a consumer. */
import { randomUUID } from "node:crypto";
import { startConsumer } from "../services/bus/consumer.ts";
import { connectKafka } from "../services/bus/kafka.ts";
import type { ReceivedRecord } from "../services/bus/record.ts";
import { topicOffsets } from "../services/bus/topic-offsets.ts";
import type { Event } from "../services/core/envelope.ts";
import { testContext } from "../services/core/testing.ts";
import { fromInstant } from "../services/core/time.ts";
import type { BenchWorld } from "./world.ts";

/** A record that is an event, with its times in milliseconds since the epoch. */
export interface Seen {
  event: Event;
  ingestedAt: number;
  /** The record's timestamp: when its producer sent it. */
  writtenAt: number;
  /** When our own consumer was given it. */
  takenAt: number;
}

/** A consumer of topics from their beginning. */
export interface Listener {
  stop(): Promise<void>;
}

/**
 * Hands over every event on `topics`, from their beginning on. Events are parsed, not validated: what the services
 * wrote is not in doubt here, and reading must not slow them down.
 */
export async function listen(
  world: BenchWorld,
  topics: readonly string[],
  onEvent: (topic: string, seen: Seen) => void,
): Promise<Listener> {
  const context = testContext({ SERVICE_NAME: `bench-listener-${randomUUID()}` });
  await startConsumer({
    kafka: connectKafka({ brokers: world.kafka.brokers, clientId: "bench", logger: context.logger }),
    groupId: context.settings.SERVICE_NAME,
    topics,
    context,
    handle: async (records) => {
      const takenAt = Date.now();
      for (const record of records) onEvent(record.topic, seenOf(record, takenAt));
    },
  });
  return { stop: () => context.stop() };
}

/** Reads what stands on a topic without transactions now. */
export async function readAll(
  world: BenchWorld,
  topic: string,
  onEvent: (seen: Seen) => void,
): Promise<void> {
  const offsets = await topicOffsets(world.admin, topic);
  let missing = offsets.reduce((sum, { high, low }) => sum + Number(high) - Number(low), 0);
  let done = (): void => undefined;
  const all = new Promise<void>((resolve) => {
    done = resolve;
  });
  if (missing === 0) return;
  const listener = await listen(world, [topic], (_topic, seen) => {
    onEvent(seen);
    missing -= 1;
    if (missing === 0) done();
  });
  await all;
  await listener.stop();
}

function seenOf({ value, timestamp }: ReceivedRecord, takenAt: number): Seen {
  const event = JSON.parse(String(value)) as Event;
  return { event, ingestedAt: fromInstant(event.ingested_at), writtenAt: timestamp, takenAt };
}
