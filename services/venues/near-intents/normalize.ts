/** Turns quote requests of the NEAR Intents relay into swap demands. */
import { RefusedEventError, startStage } from "../../bus/stage.ts";
import type { OutgoingRecord } from "../../bus/record.ts";
import { topics } from "../../bus/topics.ts";
import { derivedFrom, encodeEvent, type Event } from "../../core/envelope.ts";
import { mistakesOf, newEvent } from "../../core/events.ts";
import { swapDemand, type RawMessage, type SwapDemand } from "../../core/market-data.ts";
import { derivedEventId } from "../../core/ids.ts";
import type { ServiceDefinition } from "../../core/service.ts";
import { pairKey, quoteFields, readRelayFrame } from "./relay-messages.ts";

/**
 * Makes the swap demand of a raw quote.
 * @throws RefusedEventError that names what is wrong with the venue's message.
 */
export function normalizeQuote(raw: Event<RawMessage>): Event<SwapDemand> {
  const message = readRelayFrame(raw.raw ?? "");
  if (message?.kind !== "event") throw new RefusedEventError("not an event of the solver relay");
  const fields = quoteFields.safeParse(message.fields);
  if (!fields.success) throw new RefusedEventError(`not a quote: ${mistakesOf(fields.error).join("; ")}`);
  const quote = fields.data;
  const demand = swapDemand.safeParse({
    quote_id: quote.quote_id,
    asset_in: quote.defuse_asset_identifier_in,
    asset_out: quote.defuse_asset_identifier_out,
    ...(quote.exact_amount_in == null ? {} : { exact_amount_in: quote.exact_amount_in }),
    ...(quote.exact_amount_out == null ? {} : { exact_amount_out: quote.exact_amount_out }),
    min_deadline_ms: quote.min_deadline_ms,
  });
  if (!demand.success)
    throw new RefusedEventError(`not a swap demand: ${mistakesOf(demand.error).join("; ")}`);
  return newEvent("norm.swap_demand", {
    event_id: derivedEventId("norm.swap_demand", raw.event_id),
    venue: raw.venue,
    payload: demand.data,
    ...derivedFrom(raw),
  });
}

/** The demand's record. */
export function demandRecord(demand: Event<SwapDemand>): OutgoingRecord {
  return {
    topic: topics.swapDemand.name,
    key: pairKey(demand.payload.asset_in, demand.payload.asset_out),
    value: encodeEvent(demand),
  };
}

/** The service `normalize-near-intents`. */
export const normalizeNearIntents: ServiceDefinition<Record<never, never>> = {
  variables: {},
  start: (context) =>
    startStage({
      context,
      topic: topics.rawNearIntentsQuote.name,
      type: "raw.near-intents.quote",
      transform: (raw) => [demandRecord(normalizeQuote(raw))],
    }),
};
