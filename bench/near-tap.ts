/**
 * Stands between the executor and the lab's relay and notes when something passes: from the executor's answer to the
 * news of its settlement, and from a question for a status to its answer, is the venue's own time, not ours. Passing
 * everything through costs a little, which counts as the venue's.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { WebSocket, WebSocketServer, type RawData } from "ws";
import type { LabNear } from "../lab/venues/near/index.ts";
import { closeServer, listenOnLoopback } from "../lab/venues/socket.ts";

/** What the venue calls a settled trade. */
export interface TradeNames {
  quote_id?: string | undefined;
  quote_hash?: string | undefined;
  intent_hash?: string | undefined;
}

/** When a trade passed, in milliseconds since the epoch. */
export interface TradePassage {
  /** The executor's answer to the quote. */
  answeredAt: number;
  /** The answer to its last question how the trade stands; undefined when it asked none. */
  settledAt: number | undefined;
  /** The venue's own time until then, in milliseconds. */
  venueMs: number;
}

/** The running tap. */
export interface NearTap {
  readonly ws: string;
  readonly rpc: string;
  /** Undefined when the trade did not pass here. */
  passage(trade: TradeNames): TradePassage | undefined;
  close(): Promise<void>;
}

/** Milliseconds since the epoch, finer than `Date.now`. */
const clock = (): number => performance.timeOrigin + performance.now();

/** Starts the tap before `near`. */
export async function startNearTap(near: Pick<LabNear, "ws" | "rpc">): Promise<NearTap> {
  /** When an answer came, by quote id; when the news of its use left, by quote hash. */
  const answeredAt = new Map<string, number>();
  const newsAt = new Map<string, number>();
  /** Time that questions for an intent took, and when the last one was answered, by intent hash. */
  const asked = new Map<string, { ms: number; answeredAt: number }>();

  const fromExecutor = (text: string): void => {
    if (!text.includes('"quote_response"')) return;
    const { params } = JSON.parse(text) as { params: [{ quote_id: string }] };
    answeredAt.set(params[0].quote_id, clock());
  };
  const fromRelay = (text: string): void => {
    const hash = /"quote_hash":"([^"]+)"/.exec(text)?.[1];
    if (hash !== undefined) newsAt.set(hash, clock());
  };

  const http = createServer((request, response) => {
    forward(near.rpc, request, response, (hash, ms) => {
      asked.set(hash, { ms: (asked.get(hash)?.ms ?? 0) + ms, answeredAt: clock() });
    }).catch(() => response.destroy());
  });
  const sockets = new WebSocketServer({ server: http, path: "/ws" });
  sockets.on("connection", (client, request) => {
    const relay = new WebSocket(near.ws, {
      headers: { authorization: request.headers.authorization ?? "" },
    });
    const waiting: string[] = [];
    client.on("message", (data: RawData) => {
      const text = (data as Buffer).toString("utf8");
      fromExecutor(text);
      if (relay.readyState === WebSocket.OPEN) relay.send(text);
      else waiting.push(text);
    });
    relay.on("open", () => {
      for (const text of waiting.splice(0)) relay.send(text);
    });
    relay.on("message", (data: RawData) => {
      const text = (data as Buffer).toString("utf8");
      client.send(text);
      fromRelay(text);
    });
    const end = (): void => {
      client.terminate();
      relay.terminate();
    };
    for (const socket of [client, relay]) socket.on("close", end).on("error", end);
  });
  const port = await listenOnLoopback(http, 0, "NEAR tap");

  return {
    ws: `ws://127.0.0.1:${port}/ws`,
    rpc: `http://127.0.0.1:${port}/rpc`,
    passage: ({ quote_id, quote_hash, intent_hash }) => {
      const answered = answeredAt.get(quote_id ?? "");
      const news = newsAt.get(quote_hash ?? "");
      if (answered === undefined || news === undefined) return undefined;
      const questions = asked.get(intent_hash ?? "");
      return {
        answeredAt: answered,
        settledAt: questions?.answeredAt,
        venueMs: news - answered + (questions?.ms ?? 0),
      };
    },
    close: () => closeServer(http, sockets),
  };
}

/** Passes a question on, and tells how long its answer took. */
async function forward(
  rpc: string,
  request: IncomingMessage,
  response: ServerResponse,
  took: (intentHash: string, ms: number) => void,
): Promise<void> {
  const started = performance.now();
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const body = Buffer.concat(chunks);
  const answer = await fetch(rpc, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      authorization: request.headers.authorization ?? "",
      "x-api-key": String(request.headers["x-api-key"] ?? ""),
    },
    body,
  });
  const text = await answer.text();
  response.writeHead(answer.status, { "content-type": "application/json" }).end(text);
  const hash = /"intent_hash":"([^"]+)"/.exec(body.toString("utf8"))?.[1];
  if (hash !== undefined) took(hash, performance.now() - started);
}
