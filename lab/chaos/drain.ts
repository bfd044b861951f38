/** Draining at the end, asked for as the archiver asks: every service finishes what it has and says so. */
import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import type { Kafka } from "kafkajs";
import { controlRecord, readControl } from "../../services/bus/control.ts";
import { topics } from "../../services/bus/topics.ts";
import { toInstant } from "../../services/core/time.ts";
import type { Records } from "./tap.ts";

/** Arguments of {@link drain}. */
export interface DrainArguments {
  kafka: Kafka;
  /** What the tap has seen so far; it goes on while this waits. */
  records: Records;
  /** Who must answer. */
  services: readonly string[];
  deadlineMs: number;
  signal: AbortSignal;
}

/** Between two looks, in milliseconds. */
const pollMs = 100;

/**
 * Asks for the drain and waits for all answers.
 * @returns the services that did not answer in time; empty when all is well.
 */
export async function drain(args: DrainArguments): Promise<string[]> {
  const { kafka, records, services, signal } = args;
  const requestId = randomUUID();
  const { topic, key, value } = controlRecord(
    { type: "drain", requestId, at: toInstant(Date.now()) },
    "archiver",
  );
  const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 });
  await producer.connect();
  await producer.send({ topic, acks: -1, messages: [{ key, value }] });
  await producer.disconnect();
  const end = performance.now() + args.deadlineMs;
  for (;;) {
    const answered = new Set(
      (records.get(topics.control.name) ?? [])
        .map(readControl)
        .flatMap((message) =>
          message.type === "drained" && message.requestId === requestId ? [message.service] : [],
        ),
    );
    const silent = services.filter((service) => !answered.has(service));
    if (silent.length === 0 || performance.now() > end) return silent;
    await delay(pollMs, undefined, { signal });
  }
}
