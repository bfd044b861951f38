/**
 * The intake of an ingestor: numbers the messages of each session, writes each as a raw event with its
 * exact text, and holds the venue back when Kafka does not keep up.
 */
import { encodeEvent } from "../core/envelope.ts";
import { newEvent } from "../core/events.ts";
import type { Feed, FeedSession } from "../core/feed-connection.ts";
import { rawEventId } from "../core/ids.ts";
import type { ServiceContext } from "../core/service.ts";
import { toInstant } from "../core/time.ts";
import { putMessageAside } from "./dead-letters.ts";
import { startDrain } from "./drain.ts";
import { connectBus } from "./stage.ts";
import { RecordTooLargeError, type BatchingProducer } from "./producer.ts";

/** One message of a venue, as the intake needs it. */
export interface VenueMessage {
  /** The exact text. */
  text: string;
  /** The venue's name of its kind, if it has one. */
  messageType: string | null;
  /** What keeps its order: the record's key. */
  key: string;
  /** The venue's own time, UTC text; undefined when it tells none. */
  observedAt?: string | undefined;
}

/** Arguments of {@link startIngest}. */
export interface IngestOptions {
  context: ServiceContext;
  topic: string;
  type: "raw.near-intents.quote" | "raw.alpaca.stock";
  venue: string;
  /** Opens the feed; each data message is given to `take`, in order. Called only if the cluster has not been drained. */
  open(take: (session: FeedSession, message: VenueMessage) => void): Feed;
}

/**
 * Starts an ingestor. On drain its feed is closed for good and what was taken in is flushed.
 * @throws KafkaJSError when no broker answers.
 */
export async function startIngest(options: IngestOptions): Promise<void> {
  const { context } = options;
  const bus = await connectBus(context);
  const feeds: Feed[] = [];
  const drain = await startDrain({
    ...bus,
    context,
    drain: async () => {
      await Promise.all(feeds.map((feed) => feed.close()));
    },
  });
  if (drain.requestedBefore) {
    context.logger.info("this cluster is drained: the feed stays closed");
    return;
  }
  const feed = options.open(makeIntake(options, bus.producer));
  feeds.push(feed);
  context.onStop("feed", () => feed.close());
}

/** Makes the function that takes messages in. */
export function makeIntake(
  options: Pick<IngestOptions, "context" | "topic" | "type" | "venue">,
  producer: Pick<BatchingProducer, "send" | "hasRoom" | "room">,
): (session: FeedSession, message: VenueMessage) => void {
  const { context, topic, type, venue } = options;
  let current: FeedSession | undefined;
  let sequence = 0;
  let paused = false;
  return (session, message) => {
    if (session !== current) {
      current = session;
      sequence = 0;
    }
    const receivedAt = Date.now();
    const ingestedAt = toInstant(receivedAt);
    const id = rawEventId(session.id, sequence);
    const event = newEvent(type, {
      event_id: id,
      venue,
      observed_at: message.observedAt ?? ingestedAt,
      ingested_at: ingestedAt,
      payload: { session_id: session.id, sequence, message_type: message.messageType },
      raw: message.text,
      correlation_id: id,
    });
    const origin = { venue, sessionId: session.id, sequence, eventId: id, receivedAt };
    sequence += 1;
    context.metrics.eventsIn.inc({ source: venue });
    producer
      .send({ topic, key: message.key, value: encodeEvent(event) })
      .then(() => context.metrics.stageLatency.observe({ stage: "raw" }, (Date.now() - receivedAt) / 1000))
      .catch(async (error: unknown) => {
        if (!(error instanceof RecordTooLargeError)) throw error;
        // No broker takes it as a raw event, now or after a restart; the dead-letter topic takes more.
        await putMessageAside(
          { topic, key: message.key, text: message.text, ...origin },
          error,
          producer,
          context,
        );
      })
      .catch((error: unknown) => context.fatal(error));
    if (!producer.hasRoom && !paused) {
      paused = true;
      session.pause();
      context.logger.warn("Kafka does not keep up: the feed is paused");
      void producer.room().then(() => {
        paused = false;
        session.resume();
      });
    }
  };
}
