/** The way of a canary to the strategies: from the raw topic through the normalizer, partition by partition. */
import { derivedFrom, encodeEvent, type Event } from "../core/envelope.ts";
import { mistakesOf, newEvent, type EventType } from "../core/events.ts";
import { derivedEventId } from "../core/ids.ts";
import { canary, canaryMessageType, type RawMessage } from "../core/market-data.ts";
import { RefusedEventError } from "./refused-event.ts";
import type { OutgoingRecord } from "./record.ts";
import { topics, type TopicDefinition } from "./topics.ts";

/** Where canaries of a venue enter, and where they reach the strategies. */
export interface CanaryRoute {
  readonly raw: TopicDefinition;
  readonly rawType: EventType & `raw.${string}`;
  readonly norm: TopicDefinition;
}

/** The routes by venue. */
export const canaryRoutes = {
  "near-intents": {
    raw: topics.rawNearIntentsQuote,
    rawType: "raw.near-intents.quote",
    norm: topics.swapDemand,
  },
  alpaca: { raw: topics.stockStream, rawType: "raw.alpaca.stock", norm: topics.stockTrade },
} as const satisfies Record<string, CanaryRoute>;

/** A venue that canaries know. */
export type CanaryVenue = keyof typeof canaryRoutes;

/** All of them. */
export const canaryVenues = Object.keys(canaryRoutes) as [CanaryVenue, ...CanaryVenue[]];

/** Is this event a raw canary? */
export function isRawCanary(event: Event): event is Event<RawMessage> {
  return (
    event.event_type.startsWith("raw.") &&
    (event.payload as Partial<RawMessage>).message_type === canaryMessageType
  );
}

/**
 * What a normalizer makes of a raw canary: `norm.canary`, in the partition of the same number.
 * @throws RefusedEventError when it holds no canary or comes from a venue without a route.
 */
export function normalizeCanary(raw: Event<RawMessage>, partition: number): OutgoingRecord {
  const route: CanaryRoute | undefined = Object.hasOwn(canaryRoutes, raw.venue)
    ? canaryRoutes[raw.venue as CanaryVenue]
    : undefined;
  if (route === undefined) {
    throw new RefusedEventError(
      `canaries have no route at venue ${raw.venue}, only at ${canaryVenues.join(", ")}`,
    );
  }
  let content: unknown;
  try {
    content = JSON.parse(raw.raw ?? "");
  } catch (error) {
    throw new RefusedEventError(`not a canary: ${(error as Error).message}`);
  }
  const parsed = canary.safeParse(content);
  if (!parsed.success) throw new RefusedEventError(`not a canary: ${mistakesOf(parsed.error).join("; ")}`);
  const event = newEvent("norm.canary", {
    event_id: derivedEventId("norm.canary", raw.event_id),
    venue: raw.venue,
    payload: parsed.data,
    ...derivedFrom(raw),
  });
  return { topic: route.norm.name, key: parsed.data.canary_id, partition, value: encodeEvent(event) };
}
