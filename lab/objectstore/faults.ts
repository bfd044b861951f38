/**
 * Faults between a client and a real S3 server: a proxy on loopback that passes requests on unchanged (signatures
 * cover the Host header, which stays as the client sent it) until it is told to do something to some of them.
 */
import { once } from "node:events";
import {
  Agent,
  createServer,
  type IncomingMessage,
  request as send,
  type Server,
  type ServerResponse,
} from "node:http";
import type { AddressInfo } from "node:net";
import type { Readable, Writable } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";

/** A request that came to the proxy. */
export interface SeenRequest {
  /** Counts from 0 since the proxy's start. */
  readonly number: number;
  readonly method: string;
  /** `/<bucket>/<key>`, decoded. */
  readonly path: string;
  readonly query: URLSearchParams;
  /** Size of its body in bytes, as its header says; 0 without one. */
  readonly bytes: number;
}

/** What is done to a request. */
export type FaultKind =
  /** The connection is reset before anything reaches the server. */
  | { readonly kind: "reset" }
  /** No answer ever comes, and nothing reaches the server. */
  | { readonly kind: "hang" }
  /** The proxy answers an S3 error in the server's place, for example 503 `SlowDown` or 507 `InsufficientStorage`. */
  | { readonly kind: "error"; readonly status: number; readonly code: string }
  /** Everything arrives, but late: a pause before the request is passed on, and a limit for both bodies. */
  | { readonly kind: "slow"; readonly latencyMs?: number; readonly bytesPerSecond?: number }
  /** The request's body breaks off: both connections are reset behind so many bytes. */
  | { readonly kind: "cut-request"; readonly afterBytes: number }
  /** The answer's body breaks off in the same way. */
  | { readonly kind: "cut-answer"; readonly afterBytes: number }
  /** The server does what it was asked for; the connection is reset instead of the answer. */
  | { readonly kind: "lose-answer" }
  /** A bit of the request's body is flipped on its way, in the byte with this index (the last one if there are fewer). */
  | { readonly kind: "corrupt-request"; readonly atByte: number }
  /** A bit of the answer's body is flipped on its way. */
  | { readonly kind: "corrupt-answer"; readonly atByte: number }
  /** No fault: something is done before the request is passed on, or when it is answered and the answer is held back. */
  | {
      readonly kind: "meanwhile";
      readonly before?: (request: SeenRequest) => Promise<void> | void;
      readonly after?: (request: SeenRequest) => Promise<void> | void;
    };

/** Which requests a fault hits. */
export interface FaultScope {
  /** Default: all. Called once for each request, in their order. */
  readonly matches?: (request: SeenRequest) => boolean;
  /** Over after so many requests. Default: only when it is removed. */
  readonly times?: number;
}

/** A fault that was added. */
export interface AddedFault {
  /** How many requests it has hit. */
  readonly hits: number;
  remove(): void;
}

/** The proxy. */
export interface FaultyObjectStore {
  /** Where clients go instead of the server. */
  readonly endpoint: string;
  /** All requests so far. */
  readonly requests: readonly SeenRequest[];
  /** From now on. A request is hit by the first fault, in their order, that matches it. */
  add(fault: FaultKind & FaultScope): AddedFault;
  /** Removes all faults. */
  clear(): void;
  /** Nobody answers: connections are refused, open ones reset. */
  down(): Promise<void>;
  /** Answers again, at the same address. */
  up(): Promise<void>;
  /** Ends the proxy; the server stays. */
  close(): Promise<void>;
}

interface Added {
  readonly fault: FaultKind & FaultScope;
  hits: number;
}

/** Headers that concern one connection only (RFC 9110, 7.6.1); Node sets them itself. */
const perConnection = new Set(["connection", "keep-alive", "expect"]);

/**
 * Starts a proxy without faults.
 * @param target the server's address, `http://127.0.0.1:<port>`.
 * @throws Error when it cannot listen.
 */
export async function startFaults(target: string): Promise<FaultyObjectStore> {
  const agent = new Agent({ keepAlive: true });
  const added: Added[] = [];
  const requests: SeenRequest[] = [];

  const handle = (incoming: IncomingMessage, outgoing: ServerResponse): void => {
    const seen = describe(incoming, requests.length);
    requests.push(seen);
    const hit = added.find(
      ({ fault, hits }) => hits < (fault.times ?? Infinity) && (fault.matches?.(seen) ?? true),
    );
    if (hit !== undefined) hit.hits++;
    const { socket } = incoming;
    const reset = (): void => void socket.resetAndDestroy();
    pass(target, agent, { seen, incoming, outgoing, reset }, hit?.fault).catch(reset);
  };
  let server = await listen(handle);
  const { port } = server.address() as AddressInfo;
  const stop = async (): Promise<void> => {
    if (!server.listening) return;
    const closed = once(server, "close");
    server.close();
    server.closeAllConnections();
    await closed;
  };
  return {
    endpoint: `http://127.0.0.1:${port}`,
    requests,
    add: (fault) => {
      const entry: Added = { fault, hits: 0 };
      added.push(entry);
      return {
        get hits() {
          return entry.hits;
        },
        remove: () => void added.splice(added.indexOf(entry) >>> 0, 1),
      };
    },
    clear: () => void added.splice(0),
    down: stop,
    up: async () => {
      if (!server.listening) server = await listen(handle, port);
    },
    close: async () => {
      await stop();
      agent.destroy();
    },
  };
}

async function listen(
  handle: (incoming: IncomingMessage, outgoing: ServerResponse) => void,
  port = 0,
): Promise<Server> {
  const server = createServer(handle);
  // A slow or hanging request is the client's to give up.
  server.requestTimeout = server.headersTimeout = server.timeout = 0;
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  return server;
}

function describe(incoming: IncomingMessage, number: number): SeenRequest {
  const url = new URL(incoming.url ?? "/", "http://127.0.0.1");
  return {
    number,
    method: incoming.method ?? "",
    path: decodeURIComponent(url.pathname),
    query: url.searchParams,
    bytes: Number(incoming.headers["content-length"] ?? 0),
  };
}

interface Passing {
  readonly seen: SeenRequest;
  readonly incoming: IncomingMessage;
  readonly outgoing: ServerResponse;
  /** Resets the client's connection. */
  readonly reset: () => void;
}

/** Passes one request on, and its answer back. Rejects when either connection breaks: then the client's is reset. */
async function pass(
  target: string,
  agent: Agent,
  { seen, incoming, outgoing, reset }: Passing,
  fault: FaultKind | undefined,
): Promise<void> {
  if (fault?.kind === "reset") return reset();
  if (fault?.kind === "hang") return void incoming.resume();
  if (fault?.kind === "error") return answerError(seen, incoming, outgoing, fault);
  if (fault?.kind === "slow" && fault.latencyMs !== undefined) await delay(fault.latencyMs);
  if (fault?.kind === "meanwhile") await fault.before?.(seen);
  const { socket } = incoming;
  if (socket.destroyed) throw new Error("the client went away");

  const upstream = send(new URL(incoming.url ?? "/", target), {
    agent,
    method: seen.method,
    headers: kept(incoming.rawHeaders),
    setHost: false,
  });
  // Whoever waits for it is told by its rejection; nobody may be waiting.
  upstream.on("error", () => undefined);
  outgoing.on("error", () => undefined);
  const gone = (): void => void upstream.destroy(new Error("the client went away"));
  socket.once("close", gone);
  try {
    const answered = once(upstream, "response") as Promise<[IncomingMessage]>;
    const [[answer]] = await Promise.all([answered, copy(incoming, upstream, requestChange(fault))]);
    if (fault?.kind === "lose-answer") {
      answer.resume();
      return reset();
    }
    if (fault?.kind === "meanwhile") await fault.after?.(seen);
    outgoing.writeHead(answer.statusCode ?? 502, kept(answer.rawHeaders));
    await copy(answer, outgoing, answerChange(fault));
  } catch (error) {
    upstream.destroy();
    throw error;
  } finally {
    socket.off("close", gone);
  }
}

/** Names and values, one after the other, as Node gives and takes raw headers. */
function kept(raw: readonly string[]): string[] {
  return raw.filter((_, index) => !perConnection.has(raw[index - (index % 2)]?.toLowerCase() ?? ""));
}

/** What happens to a body on its way. */
type Change = Pick<Extract<FaultKind, { kind: "slow" }>, "bytesPerSecond"> & {
  cutAfter?: number;
  corruptAt?: number;
};

function requestChange(fault: FaultKind | undefined): Change {
  if (fault?.kind === "slow") return fault;
  if (fault?.kind === "cut-request") return { cutAfter: fault.afterBytes };
  return fault?.kind === "corrupt-request" ? { corruptAt: fault.atByte } : {};
}

function answerChange(fault: FaultKind | undefined): Change {
  if (fault?.kind === "slow") return fault;
  if (fault?.kind === "cut-answer") return { cutAfter: fault.afterBytes };
  return fault?.kind === "corrupt-answer" ? { corruptAt: fault.atByte } : {};
}

/** Copies a body and ends the target. @throws Error when either side breaks, or the body is cut. */
async function copy(source: Readable, target: Writable, change: Change): Promise<void> {
  let position = 0;
  /** Held back by one chunk, since only the end tells which byte is the last. */
  let held: Buffer | undefined;
  const write = async (chunk: Buffer): Promise<void> => {
    if (!target.write(chunk)) await once(target, "drain");
  };
  // Left early, the source is not ended in an orderly way: the connection is to be reset.
  for await (const chunk of source.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    const { cutAfter, corruptAt, bytesPerSecond } = change;
    if (cutAfter !== undefined && position + chunk.length > cutAfter) {
      await write(chunk.subarray(0, cutAfter - position));
      throw new Error("the body is cut");
    }
    if (bytesPerSecond !== undefined) await delay((chunk.length / bytesPerSecond) * 1_000);
    if (held !== undefined) await write(held);
    held = chunk;
    if (corruptAt !== undefined && corruptAt >= position && corruptAt < position + chunk.length) {
      held = flipped(chunk, corruptAt - position);
      change = {};
    }
    position += chunk.length;
  }
  if (held !== undefined) {
    await write(change.corruptAt === undefined ? held : flipped(held, held.length - 1));
  }
  target.end();
}

function flipped(chunk: Buffer, index: number): Buffer {
  const copied = Buffer.from(chunk);
  copied.writeUInt8(copied.readUInt8(index) ^ 1, index);
  return copied;
}

/** An error as S3 servers tell it; HEAD has no body. */
async function answerError(
  seen: SeenRequest,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  { status, code }: Extract<FaultKind, { kind: "error" }>,
): Promise<void> {
  for await (const _ of incoming as AsyncIterable<Buffer>);
  const body =
    `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code>` +
    `<Message>injected by the lab</Message><Resource>${seen.path}</Resource></Error>`;
  outgoing.writeHead(status, { "content-type": "application/xml" });
  outgoing.end(seen.method === "HEAD" ? undefined : body);
}
