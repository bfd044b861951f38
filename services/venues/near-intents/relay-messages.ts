/**
 * Messages of the NEAR Intents solver relay (JSON-RPC over WebSocket), from the public market-maker
 * documentation. Events come in two shapes: `method: "subscribe"` with the fields beside the subscription id,
 * and `method: "event"` with the fields under `data`. Unknown fields are kept or ignored, never an error.
 */
import { z } from "zod";

const identifier = z.union([z.int(), z.string(), z.null()]);

/** An answer to a request of ours. */
export interface RelayResponse {
  kind: "response";
  id: number | string | null;
  result?: unknown;
  error?: { code?: number | undefined; message: string };
}

/** A message of a subscription. */
export interface RelayEvent {
  kind: "event";
  subscription: string | undefined;
  /** The event's own fields, whichever shape it came in. */
  fields: Record<string, unknown>;
}

const frame = z.looseObject({
  id: identifier.optional(),
  method: z.string().optional(),
  result: z.unknown().optional(),
  error: z
    .union([
      z.looseObject({ code: z.number().optional(), message: z.string() }),
      z.string().transform((message) => ({ message, code: undefined })),
    ])
    .optional(),
  params: z.looseObject({ subscription: z.string().optional() }).optional(),
});

/**
 * Reads a frame of the relay.
 * @returns undefined when it is neither an answer nor an event that we know how to read.
 */
export function readRelayFrame(text: string): RelayResponse | RelayEvent | undefined {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return undefined;
  }
  return readRelayMessage(json);
}

/** The same of what has been parsed already. */
export function readRelayMessage(json: unknown): RelayResponse | RelayEvent | undefined {
  const parsed = frame.safeParse(json);
  if (!parsed.success) return undefined;
  const { id, method, params, result, error } = parsed.data;
  if (params !== undefined && (method === "event" || method === "subscribe")) {
    const { subscription, data, ...rest } = params;
    const isNested = method === "event" && typeof data === "object" && data !== null;
    return { kind: "event", subscription, fields: isNested ? { ...data } : rest };
  }
  if (id === undefined || method !== undefined) return undefined;
  return { kind: "response", id, result, ...(error === undefined ? {} : { error }) };
}

/** A request as text. @param id repeated in the answer. */
export function relayRequest(id: number, method: string, params: unknown[]): string {
  return JSON.stringify({ jsonrpc: "2.0", id, method, params });
}

/** The fields of a quote request that we use; amounts are checked where they are normalized. */
export const quoteFields = z.looseObject({
  quote_id: z.string().min(1),
  defuse_asset_identifier_in: z.string().min(1),
  defuse_asset_identifier_out: z.string().min(1),
  exact_amount_in: z.string().nullish(),
  exact_amount_out: z.string().nullish(),
  /** The documentation shows a number; its own example, a text. Default of the relay: 60,000. */
  min_deadline_ms: z
    .union([z.int(), z.string().regex(/^\d+$/).transform(Number)])
    .nullish()
    .transform((value) => value ?? 60_000),
});

/** What the relay says when a quote of ours was used. */
export const quoteStatusFields = z.looseObject({
  quote_hash: z.string().min(1),
  intent_hash: z.string().min(1),
  tx_hash: z.string().nullish(),
});

/** The key of everything about a pair of assets. */
export function pairKey(assetIn: string, assetOut: string): string {
  return `${assetIn}|${assetOut}`;
}
