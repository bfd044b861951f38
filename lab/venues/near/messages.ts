/** What clients send to the relay, as schemas; unknown fields are ignored as the relay does. */
import { z } from "zod";
import { eventShapes } from "./events.ts";

const amount = z.string().regex(/^[1-9]\d*$/, "expected a positive whole number in base units, as a string");

/** A JSON-RPC 2.0 request. */
export const requestSchema = z.object({
  jsonrpc: z.literal("2.0"),
  id: z.union([z.number(), z.string()]),
  method: z.string(),
  params: z.array(z.unknown()).default([]),
});

const filterSchema = z
  .object({
    tokens_in: z.array(z.string()).optional(),
    tokens_out: z.array(z.string()).optional(),
    /** The lab's own: in which shape this subscription's events are to come. */
    lab_event_shape: z.enum(eventShapes).optional(),
  })
  .nullish();
/** Which quotes a subscriber wants; missing or empty lists don't restrict. */
export type QuoteFilter = z.infer<typeof filterSchema>;

export const subscribeSchema = z.union([
  z.tuple([z.enum(["quote", "quote_status"])]),
  z.tuple([z.enum(["quote", "quote_status"]), filterSchema]).rest(z.unknown()),
]);
export const unsubscribeSchema = z.tuple([z.string()]);

/** An intent and its NEP-413 signature. The other standards of the contract are not simulated. */
export const signedDataSchema = z.object({
  standard: z.literal("nep413"),
  payload: z.object({
    recipient: z.string(),
    nonce: z.base64(),
    message: z.string(),
    callbackUrl: z.string().optional(),
  }),
  public_key: z.string(),
  signature: z.string(),
});
export type SignedData = z.infer<typeof signedDataSchema>;

export const quoteResponseSchema = z.tuple([
  z.object({
    quote_id: z.string(),
    quote_output: z
      .object({ amount_in: amount.optional(), amount_out: amount.optional() })
      .refine((output) => (output.amount_in === undefined) !== (output.amount_out === undefined), {
        message: "expected exactly one of amount_in and amount_out",
      }),
    signed_data: signedDataSchema,
    other_quote_hashes: z.array(z.string()).optional(),
  }),
]);
export type QuoteResponse = z.infer<typeof quoteResponseSchema>[0];

export const quoteRequestSchema = z.tuple([
  z
    .object({
      defuse_asset_identifier_in: z.string(),
      defuse_asset_identifier_out: z.string(),
      exact_amount_in: amount.optional(),
      exact_amount_out: amount.optional(),
      min_deadline_ms: z.number().int().positive().default(60_000),
    })
    .refine((quote) => (quote.exact_amount_in === undefined) !== (quote.exact_amount_out === undefined), {
      message: "expected exactly one of exact_amount_in and exact_amount_out",
    }),
]);

export const publishIntentSchema = z.tuple([
  z.object({ quote_hashes: z.array(z.string()), signed_data: signedDataSchema }),
]);
export const getStatusSchema = z.tuple([z.object({ intent_hash: z.string() })]);

/** The signed message: who gives and takes what, until when. */
export const intentMessageSchema = z.object({
  signer_id: z.string().min(2),
  deadline: z.iso.datetime({ offset: true }),
  intents: z.array(
    z.object({
      intent: z.literal("token_diff"),
      diff: z.record(z.string(), z.string().regex(/^-?[1-9]\d*$/)),
    }),
  ),
});
