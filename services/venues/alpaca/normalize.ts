/** Turns messages of Alpaca's stock stream into canonical market data. */
import { Counter } from "prom-client";
import type { OutgoingRecord } from "../../bus/record.ts";
import { RefusedEventError, startStage } from "../../bus/stage.ts";
import { topicName, topics } from "../../bus/topics.ts";
import { derivedFrom, encodeEvent, type Event } from "../../core/envelope.ts";
import { mistakesOf, newEvent } from "../../core/events.ts";
import { derivedEventId } from "../../core/ids.ts";
import type { RawMessage } from "../../core/market-data.ts";
import type { ServiceContext, ServiceDefinition } from "../../core/service.ts";
import { parseExact } from "./exact-json.ts";
import { normalForms, type Normal } from "./market-messages.ts";

/** Topic of each type; corrections and cancels follow the trades they are about, in the same order. */
const topicOf: Record<Normal["type"], string> = {
  "norm.stock_trade": topics.stockTrade.name,
  "norm.stock_trade_correction": topics.stockTrade.name,
  "norm.stock_trade_cancel": topics.stockTrade.name,
  "norm.stock_quote": topics.stockQuote.name,
  "norm.stock_bar": topics.stockBar.name,
};

/**
 * Makes the canonical event of a raw message; depends on that event alone.
 * @returns undefined for kinds of messages that have no normal form (status, LULD, kinds that are not known).
 * @throws RefusedEventError that names everything that is wrong with the venue's message.
 */
export function normalizeStockMessage(raw: Event<RawMessage>): Event<Normal["payload"]> | undefined {
  const { message_type } = raw.payload;
  if (message_type === null) throw new RefusedEventError("not a message of the stock stream: no text in T");
  const form = normalForms.get(message_type);
  if (form === undefined) return undefined;
  const read = form.safeParse(parsed(raw.raw ?? ""));
  if (!read.success) {
    throw new RefusedEventError(
      `not a message of kind "${message_type}": ${mistakesOf(read.error).join("; ")}`,
    );
  }
  const { type, time, payload } = read.data;
  return newEvent(type, {
    event_id: derivedEventId(type, raw.event_id),
    venue: raw.venue,
    payload,
    ...derivedFrom(raw),
    observed_at: time,
  });
}

function parsed(text: string): unknown {
  try {
    return parseExact(text);
  } catch (error) {
    throw new RefusedEventError(`not JSON: ${(error as Error).message}`);
  }
}

/** The event's record. */
export function stockRecord(event: Event<Normal["payload"]>): OutgoingRecord {
  return {
    topic: topicOf[event.event_type as Normal["type"]],
    key: event.payload.symbol,
    value: encodeEvent(event),
  };
}

/** Makes the stage's transformation, which counts what it passes over. */
export function stockTransform(
  context: Pick<ServiceContext, "metrics">,
): (raw: Event<RawMessage>) => OutgoingRecord[] {
  const passedOver = new Counter({
    name: "trading_messages_without_normal_form_total",
    help: "Messages of the venue whose kind has no normal form, by kind; kinds that are not documented are `other`.",
    labelNames: ["kind"],
    registers: [context.metrics.registry],
  });
  return (raw) => {
    const event = normalizeStockMessage(raw);
    if (event !== undefined) return [stockRecord(event)];
    const { message_type } = raw.payload;
    // What a venue may invent is no label: each new value would be a time series.
    passedOver.inc({ kind: message_type === "s" || message_type === "l" ? message_type : "other" });
    return [];
  };
}

/** The service `normalize-alpaca`. */
export const normalizeAlpaca: ServiceDefinition<Record<never, never>> = {
  variables: {},
  start: (context) =>
    startStage({
      context,
      topic: topicName(topics.stockStream, context.settings.BUSINESS_DATE),
      type: "raw.alpaca.stock",
      transform: stockTransform(context),
    }),
};
