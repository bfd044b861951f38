/** For tests of strategies: events as records of their topics, and what a strategy makes of them. */
import type { ReceivedRecord } from "../bus/record.ts";
import { topics } from "../bus/topics.ts";
import { encodeEvent, type Event } from "../core/envelope.ts";
import { decodeEvent, newEvent, type EventOf, type PayloadOf } from "../core/events.ts";
import { derivedEventId } from "../core/ids.ts";
import type { ExecuteTrade } from "../core/trading.ts";
import { Reactor } from "./reactor.ts";
import type { InputType, Strategy } from "./strategy.ts";

/**
 * Makes an input event.
 * @param id any text; equal texts (of one type) give equal ids.
 * @param at when it was observed and ingested. Default `2025-10-14T13:30:00.000Z`.
 */
export function inputEvent<Type extends InputType>(
  type: Type,
  id: string,
  payload: PayloadOf<Type>,
  at = "2025-10-14T13:30:00.000Z",
): EventOf<Type> {
  const rawId = derivedEventId("raw", id);
  return newEvent(type, {
    event_id: derivedEventId(type, rawId),
    venue: type === "norm.swap_demand" ? "near-intents" : "alpaca",
    observed_at: at,
    ingested_at: at,
    payload,
    causation_id: rawId,
    correlation_id: rawId,
  }) as EventOf<Type>;
}

/** An event as it stands on its topic, with the key that the registry tells. */
export function recordOf(event: EventOf<InputType>, offset = 0): ReceivedRecord {
  const { payload, event_type } = event;
  const topic = Object.values(topics).find(({ schemas }) =>
    (schemas as readonly string[]).includes(event_type),
  );
  if (topic === undefined) throw new Error(`no topic holds ${event_type}`);
  return {
    topic: topic.name,
    partition: 0,
    offset: String(offset),
    timestamp: Date.parse(event.ingested_at),
    key: Buffer.from("symbol" in payload ? payload.symbol : `${payload.asset_in}|${payload.asset_out}`),
    value: encodeEvent(event),
    headers: {},
  };
}

/**
 * The commands that a fresh strategy gives for these events, in order, as the executor reads them.
 * @throws what the strategy is refused for.
 */
export function commandsFor<Input extends InputType, State>(
  strategy: Strategy<Input, State>,
  events: readonly EventOf<Input>[],
): Event<ExecuteTrade>[] {
  const reactors = new Map<string, Reactor<Input, State>>();
  return events.flatMap((event, offset) => {
    const record = recordOf(event as EventOf<InputType>, offset);
    const reactor = reactors.get(record.topic) ?? new Reactor(strategy, record.topic);
    reactors.set(record.topic, reactor);
    const outcome = reactor.take(record);
    if (outcome.kind === "refused") throw outcome.error;
    return outcome.kind === "reacted"
      ? outcome.commands.map(({ value }) => decodeEvent("cmd.execute_trade", value))
      : [];
  });
}
