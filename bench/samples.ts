/** One event of each type that flows through the pipeline, made by the code that makes them there. */
import { generateNearQuotes } from "../lab/session/index.ts";
import type { Event } from "../services/core/envelope.ts";
import { newEvent, type EventType } from "../services/core/events.ts";
import { derivedEventId, newSessionId, rawEventId } from "../services/core/ids.ts";
import type { RawMessage } from "../services/core/market-data.ts";
import { toInstant } from "../services/core/time.ts";
import type { ExecuteTrade, TradeResult } from "../services/core/trading.ts";
import { normalizeQuote } from "../services/venues/near-intents/normalize.ts";

/** A quote request as the ingestor writes it. */
export function rawQuote(): Event<RawMessage> {
  const { value: quote } = generateNearQuotes(7).next();
  const session = newSessionId();
  const id = rawEventId(session, 0);
  const now = toInstant(Date.now());
  return newEvent("raw.near-intents.quote", {
    event_id: id,
    venue: "near-intents",
    observed_at: now,
    ingested_at: now,
    payload: { session_id: session, sequence: 0, message_type: "quote" },
    raw: JSON.stringify({
      jsonrpc: "2.0",
      method: "subscribe",
      params: { subscription: newSessionId(), ...quote },
    }),
    correlation_id: id,
  });
}

/** The chain that begins with one quote request, and a trade and a quote of the stock market. */
export function sampleEvents(): { type: EventType; event: Event }[] {
  const raw = rawQuote();
  const demand = normalizeQuote(raw);
  const chain = {
    venue: "near-intents",
    observed_at: raw.observed_at,
    ingested_at: raw.ingested_at,
    correlation_id: raw.event_id,
  };
  const id = derivedEventId("cmd.execute_trade", demand.event_id, "sample", "0");
  const { quote_id, asset_in, asset_out, exact_amount_in, exact_amount_out } = demand.payload;
  const amounts = { amount_in: exact_amount_in ?? "1000000", amount_out: exact_amount_out ?? "1000000" };
  const command: ExecuteTrade = {
    command_id: id,
    idempotency_key: `sample:${quote_id}`,
    strategy: "sample",
    venue: "near-intents",
    deadline: toInstant(Date.now() + 60_000),
    limits: { max_amount_out: amounts.amount_out },
    instruction: { kind: "answer_swap", quote_id, asset_in, asset_out, ...amounts, exact: "in" },
  };
  const result: TradeResult = {
    command_id: id,
    idempotency_key: command.idempotency_key,
    strategy: "sample",
    status: "FILLED",
    filled: { kind: "swap", ...amounts },
    reference: { quote_id, quote_hash: "7XqY2w3e4r5t6y7u8i9o1p2a3s4d5f6g7h8j9k1l2z3" },
    completed_at: toInstant(Date.now()),
  };
  const causedBy = (cause: string, name: string) => ({
    ...chain,
    event_id: derivedEventId(name, cause),
    causation_id: cause,
  });
  const shares = { ...chain, venue: "alpaca" };
  return [
    { type: "raw.near-intents.quote", event: raw },
    { type: "norm.swap_demand", event: demand },
    {
      type: "cmd.execute_trade",
      event: newEvent("cmd.execute_trade", { ...causedBy(demand.event_id, "command"), payload: command }),
    },
    {
      type: "exec.journal",
      event: newEvent("exec.journal", {
        ...causedBy(id, "journal"),
        payload: {
          command_id: id,
          idempotency_key: command.idempotency_key,
          state: "INTENT",
          epoch: 1,
          at: chain.observed_at,
          command,
          reference: { quote_id },
        },
      }),
    },
    {
      type: "exec.trade_result",
      event: newEvent("exec.trade_result", { ...causedBy(id, "result"), payload: result }),
    },
    {
      type: "norm.stock_trade",
      event: newEvent("norm.stock_trade", {
        ...causedBy(raw.event_id, "trade"),
        ...shares,
        payload: {
          symbol: "AAPL",
          exchange: "V",
          trade_id: "52983525029461",
          price: "250.13",
          size: "100",
          conditions: ["@", "I"],
          tape: "C",
        },
      }),
    },
    {
      type: "norm.stock_quote",
      event: newEvent("norm.stock_quote", {
        ...causedBy(raw.event_id, "quote"),
        ...shares,
        payload: {
          symbol: "AAPL",
          bid_exchange: "V",
          bid_price: "250.12",
          bid_size: "3",
          ask_exchange: "Q",
          ask_price: "250.14",
          ask_size: "1",
          conditions: ["R"],
          tape: "C",
        },
      }),
    },
  ];
}
