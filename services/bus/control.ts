/**
 * The control topic: what services are told all at once and what they answer. Its messages are few and it has one
 * partition, so every service reads all of them from the beginning, in one order.
 */
import type { Kafka } from "kafkajs";
import { z } from "zod";
import { decimalString } from "../core/decimal.ts";
import { mistakesOf } from "../core/events.ts";
import type { ServiceContext } from "../core/service.ts";
import { instantString } from "../core/time.ts";
import { type Follower, followTopics } from "./follow.ts";
import type { OutgoingRecord, ReceivedRecord } from "./record.ts";
import { topics } from "./topics.ts";

const word = z.string().min(1);

/** What the last comparison of a venue's account with our books came to (services/execution/reconciliation.ts). */
export const accountComparison = z.object({
  venue: word,
  /** `recorded`: the account with which the day begins; there was nothing before it to compare with. */
  outcome: z.enum(["recorded", "matched", "mismatch"]),
  at: instantString,
  /** One sentence each; empty unless it is a mismatch. */
  differences: z.array(z.string()),
  /** What was compared; of `recorded`, without what orders of earlier days filled since. Absent: not told. */
  positions: z.array(z.object({ symbol: word, quantity: decimalString })).optional(),
});
export type AccountComparison = z.infer<typeof accountComparison>;

/** What is said on the control topic. */
export const controlMessage = z.discriminatedUnion("type", [
  /** Every service is to finish its work and stop taking in more (see drain.ts). */
  z.object({ type: z.literal("drain"), requestId: word, at: instantString }),
  /** A service has finished. */
  z.object({ type: z.literal("drained"), service: word, requestId: word, at: instantString }),
  /** Executors stop trading, or may trade again (see kill-switch.ts). */
  z.object({
    type: z.literal("kill_switch"),
    state: z.enum(["engaged", "released"]),
    /** A venue, or `*` for all of them. */
    scope: word,
    reason: z.string().min(1).max(1_000),
    /** The person or service that says it. */
    by: word,
    at: instantString,
  }),
  /** Canaries came through the whole pipeline. */
  z.object({
    type: z.literal("trading_ready"),
    at: instantString,
    /** Ids of the canaries that were answered. */
    canaries: z.array(word),
    /** One for each venue whose account has been compared; absent where the monitor could not tell. */
    accounts: z.array(accountComparison).optional(),
  }),
  /** They did not, or do not any more; or nobody sends any. Said when it changes. */
  z.object({
    type: z.literal("trading_not_ready"),
    at: instantString,
    /** What is missing, for people. */
    missing: z.array(word).min(1),
  }),
]);
export type ControlMessage = z.infer<typeof controlMessage>;
export type KillSwitchMessage = Extract<ControlMessage, { type: "kill_switch" }>;

/** A record of the control topic is not a message that this program knows. */
export class ControlMessageError extends Error {
  override readonly name = "ControlMessageError";
}

/** A control message as a record. @param speaker name of the service that says it. */
export function controlRecord(message: ControlMessage, speaker: string): OutgoingRecord {
  return { topic: topics.control.name, key: speaker, value: Buffer.from(JSON.stringify(message)) };
}

/**
 * Reads a control message. Fields that it does not know are passed over: a newer service may say more.
 * @throws ControlMessageError that names what is wrong, also for a type that this program does not know.
 */
export function readControl(record: Pick<ReceivedRecord, "value">): ControlMessage {
  let content: unknown;
  try {
    content = JSON.parse(record.value?.toString("utf8") ?? "null");
  } catch (error) {
    throw new ControlMessageError(`not a control message: not JSON: ${(error as Error).message}`);
  }
  const parsed = controlMessage.safeParse(content);
  if (parsed.success) return parsed.data;
  throw new ControlMessageError(`not a control message: ${mistakesOf(parsed.error).join("; ")}`);
}

/** Arguments of {@link followControl}. */
export interface FollowControlOptions {
  kafka: Kafka;
  context: Pick<ServiceContext, "fatal" | "health" | "logger" | "settings">;
  /** Called for every message, from the oldest on, in order. Throwing is fatal. */
  onMessage(message: ControlMessage): void;
}

/**
 * Reads the control topic; resolves when everything that was there at the call has been handed over, and goes on
 * reading. What cannot be read, or is of a type that this program does not know, is logged and passed over.
 * @throws KafkaJSError when the topic does not exist or no broker answers.
 */
export function followControl(options: FollowControlOptions): Promise<Follower> {
  const { kafka, context } = options;
  return followTopics({
    kafka,
    topics: [topics.control.name],
    name: `control-${context.settings.SERVICE_NAME}`,
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
      options.onMessage(message);
    },
  });
}
