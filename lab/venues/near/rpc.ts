/** JSON-RPC 2.0 of the relay: what market makers send over the WebSocket, and what takers post to /rpc. */
import { randomUUID } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { WebSocket } from "ws";
import { z } from "zod";
import { type NewsFault, Obstruction } from "../faults.ts";
import { obstructHttp } from "../http-faults.ts";
import {
  getStatusSchema,
  publishIntentSchema,
  quoteRequestSchema,
  quoteResponseSchema,
  requestSchema,
  subscribeSchema,
  unsubscribeSchema,
} from "./messages.ts";
import type { Relay } from "./start.ts";

/** Codes of the JSON-RPC 2.0 specification; -32000 is the first of those left to servers. */
const codes = {
  parse: -32700,
  request: -32600,
  method: -32601,
  params: -32602,
  internal: -32603,
  server: -32000,
} as const;

class RpcError extends Error {
  readonly code: number;
  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

type Request = z.infer<typeof requestSchema>;

function parseRequest(text: string): Request {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new RpcError(codes.parse, "parse error");
  }
  const parsed = requestSchema.safeParse(value);
  if (!parsed.success) throw new RpcError(codes.request, `invalid request: ${z.prettifyError(parsed.error)}`);
  return parsed.data;
}

function parseParams<Schema extends z.ZodType>(schema: Schema, params: unknown): z.infer<Schema> {
  const parsed = schema.safeParse(params);
  if (!parsed.success) throw new RpcError(codes.params, `invalid params: ${z.prettifyError(parsed.error)}`);
  return parsed.data;
}

function answer(id: Request["id"] | null, result: unknown): string {
  return result instanceof RpcError
    ? JSON.stringify({ jsonrpc: "2.0", id, error: { code: result.code, message: result.message } })
    : JSON.stringify({ jsonrpc: "2.0", id, result });
}

const internalError = new RpcError(codes.internal, "internal error");
const rateLimited = new RpcError(codes.server, "rate limit exceeded");

/** Answers a market maker's message. */
export function answerSocket(relay: Relay, socket: WebSocket, text: string): void {
  let id: Request["id"] | null = null;
  let result: unknown;
  try {
    const request = parseRequest(text);
    id = request.id;
    result = handleSocket(relay, socket, request);
  } catch (error) {
    if (!(error instanceof RpcError)) throw error;
    result = error;
  }
  if (result instanceof Obstruction) return obstructSocket(result, socket, id);
  const { result: value, twice } = result instanceof OfferAnswer ? result : { result, twice: false };
  socket.send(answer(id, value));
  if (twice) socket.send(answer(id, value));
}

/** Does to a market maker what takes the place of an answer. */
function obstructSocket({ kind }: Obstruction, socket: WebSocket, id: Request["id"] | null): void {
  switch (kind) {
    case "timeout_after_accept":
    case "timeout":
      return;
    case "drop_socket":
      return socket.terminate();
    case "server_error":
    case "error_after_accept":
      return socket.send(answer(id, internalError));
    case "rate_limited":
      return socket.send(answer(id, rateLimited));
  }
}

/** The answer to an offer that was taken. */
class OfferAnswer {
  readonly result = "OK";
  readonly twice: boolean;

  constructor(news: NewsFault | undefined) {
    this.twice = news === "answer_twice";
  }
}

function handleSocket(relay: Relay, socket: WebSocket, { method, params }: Request): unknown {
  switch (method) {
    case "subscribe": {
      const [kind, filter] = parseParams(subscribeSchema, params);
      const id = randomUUID();
      const shape = filter?.lab_event_shape ?? relay.eventShape;
      relay.subscriptions.set(id, { id, kind, filter, shape, socket });
      return id;
    }
    case "unsubscribe": {
      const [id] = parseParams(unsubscribeSchema, params);
      if (relay.subscriptions.get(id)?.socket !== socket) {
        throw new RpcError(codes.server, "subscription not found");
      }
      relay.subscriptions.delete(id);
      return "OK";
    }
    case "quote_response": {
      const [response] = parseParams(quoteResponseSchema, params);
      return relay.faults.order(response.quote_id, (news) => {
        const result = relay.auctions.respond(response, news);
        if (result !== "OK") throw new RpcError(codes.server, result.reason);
        return new OfferAnswer(news);
      });
    }
    default:
      throw new RpcError(codes.method, `method not found: ${method}`);
  }
}

/** Answers a request to the HTTP server. */
export async function answerHttp(
  relay: Relay,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const respond = (status: number, body: string) => {
    response.writeHead(status, { "content-type": "application/json" }).end(body);
  };
  if (request.url !== "/rpc") return respond(404, JSON.stringify({ error: "not found, expected /rpc" }));
  if (request.method !== "POST")
    return respond(405, JSON.stringify({ error: "method not allowed, expected POST" }));
  // The real one takes partner tokens here, and API keys in a header of their own.
  const authorized =
    request.headers.authorization === `Bearer ${relay.token}` || request.headers["x-api-key"] === relay.token;
  if (!authorized)
    return respond(
      401,
      JSON.stringify({ error: "unauthorized, expected the header Authorization: Bearer <token>" }),
    );

  let id: Request["id"] | null = null;
  try {
    const body = await readBody(request);
    const parsed = parseRequest(body);
    id = parsed.id;
    const result = await handleHttp(relay, parsed);
    if (!(result instanceof Obstruction)) return respond(200, answer(id, result));
    obstructHttp(result, request, response, {
      serverError: answer(id, internalError),
      rateLimited: answer(id, rateLimited),
    });
  } catch (error) {
    respond(200, answer(id, error instanceof RpcError ? error : new RpcError(codes.server, String(error))));
  }
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > 1_000_000) throw new RpcError(codes.request, "request too large");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

async function handleHttp(relay: Relay, { method, params }: Request): Promise<unknown> {
  switch (method) {
    case "quote": {
      const [quote] = parseParams(quoteRequestSchema, params);
      return relay.ask({
        quote_id: randomUUID(),
        ...quote,
        min_wait_ms: 300,
        max_wait_ms: 3_000,
        protocol_fee_included: false,
      });
    }
    case "publish_intent": {
      const [{ quote_hashes: quoteHashes, signed_data: signed }] = parseParams(publishIntentSchema, params);
      return relay.faults.change(`publish ${signed.signature}`, () =>
        relay.auctions.publish(quoteHashes, signed),
      );
    }
    case "get_status": {
      const [{ intent_hash: hash }] = parseParams(getStatusSchema, params);
      return relay.faults.ask(hash) ?? relay.auctions.status(hash);
    }
    default:
      throw new RpcError(codes.method, `method not found: ${method}`);
  }
}
