/**
 * HTTP calls of which is certain whether they left this process. `node:http` instead of `fetch`, which follows
 * redirects and answers 421 by sending the body a second time, and which does not tell when a body is written. Here
 * nothing is written before the connection stands, then a last look is taken whether it may be, then it is written once.
 */
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import type { MayStillSend } from "./execution-venue.ts";

/** What came of a call. */
export type RestResult =
  | {
      kind: "answered";
      status: number;
      /** The body as {@link RestClientOptions.parse} reads it; undefined when it cannot. */
      body: unknown;
      headers: IncomingMessage["headers"];
    }
  /** Nothing left this process: `deadline_passed`, `venue_unreachable`, or what {@link RestRequest.mayStillSend} says. */
  | { kind: "not_sent"; code: string; message: string }
  /** It may have arrived. */
  | { kind: "unanswered"; message: string };

/** Arguments of {@link RestClient}. */
export interface RestClientOptions {
  /** Beginning of all addresses, without a slash at its end. */
  url: string;
  /** Sent with each call. */
  headers: Readonly<Record<string, string>>;
  /** Reads an answer's body. Default `JSON.parse`. */
  parse?: (text: string) => unknown;
  /** Longest time until the connection stands, and then again until the whole answer is there, in milliseconds. Default 5,000. */
  answerMs?: number;
}

/** One call. */
export interface RestRequest {
  method: "GET" | "POST" | "DELETE";
  /** With its query; begins with a slash, or is empty. */
  path: string;
  /** Sent as JSON. */
  body?: object;
  /** Milliseconds since the epoch: from then on nothing is written any more. */
  before?: number;
  /** Asked when the connection stands: with a reason nothing is written. */
  mayStillSend?: MayStillSend;
  /**
   * Whether it gets a connection of its own, behind all that were opened before. A busy server may answer on an old connection
   * while it has not yet accepted a newer one that carries an earlier call. Default: false.
   */
  ownConnection?: boolean;
  signal?: AbortSignal;
}

/** A longer answer is no venue's. */
const largestAnswer = 16 * 1024 * 1024;

/**
 * A connection that was unused for so long is not used again, in milliseconds: servers close theirs after five seconds
 * or more, and an order that is written to a closing connection is an order whose fate is unknown.
 */
const idleMs = 4_000;

/** See the module's description. */
export class RestClient {
  readonly #options: RestClientOptions;
  readonly #agent: HttpAgent;
  readonly #request: typeof httpRequest;

  constructor(options: RestClientOptions) {
    this.#options = options;
    const isSecure = options.url.startsWith("https:");
    const agentOptions = { keepAlive: true, maxSockets: 32, timeout: idleMs, scheduling: "lifo" } as const;
    this.#agent = isSecure ? new HttpsAgent(agentOptions) : new HttpAgent(agentOptions);
    this.#request = isSecure ? httpsRequest : httpRequest;
  }

  /** Makes a call. Never throws for what the network or the server does. */
  call(call: RestRequest): Promise<RestResult> {
    const { method, path, body, before, mayStillSend, ownConnection = false, signal } = call;
    const { url, headers, answerMs = 5_000, parse = JSON.parse } = this.#options;
    const text = body === undefined ? undefined : Buffer.from(JSON.stringify(body), "utf8");
    return new Promise((resolve) => {
      let isWritten = false;
      let timer: NodeJS.Timeout;
      const request = this.#request(`${url}${path}`, {
        method,
        agent: ownConnection ? false : this.#agent,
        headers: {
          accept: "application/json",
          ...headers,
          ...(text === undefined
            ? {}
            : { "content-type": "application/json", "content-length": text.length }),
        },
      });
      let isOver = false;
      const end = (result: RestResult): void => {
        // The connection may serve another call by now.
        if (isOver) return;
        isOver = true;
        clearTimeout(timer);
        signal?.removeEventListener("abort", abort);
        resolve(result);
        if (result.kind !== "answered") request.destroy();
      };
      const fail = (message: string): void => {
        end(
          isWritten
            ? { kind: "unanswered", message }
            : { kind: "not_sent", code: "venue_unreachable", message: `not connected: ${message}` },
        );
      };
      const abort = (): void => fail("the wait was given up");
      const limit = (): void => {
        clearTimeout(timer);
        timer = setTimeout(() => fail(`no answer in ${answerMs} ms`), answerMs);
      };
      limit();
      signal?.addEventListener("abort", abort);
      request.on("error", (error: NodeJS.ErrnoException) => fail(error.code ?? error.message));
      request.on("socket", (socket) => {
        const write = (): void => {
          if (isOver) return;
          if (before !== undefined && Date.now() >= before) {
            end({
              kind: "not_sent",
              code: "deadline_passed",
              message: "the deadline had passed before it was sent",
            });
            return;
          }
          const reason = mayStillSend?.();
          if (reason !== undefined) {
            end({ kind: "not_sent", ...reason });
            return;
          }
          isWritten = true;
          limit();
          request.end(text);
        };
        if (socket.connecting)
          socket.once(this.#request === httpsRequest ? "secureConnect" : "connect", write);
        else write();
      });
      request.on("response", (response) => {
        const chunks: Buffer[] = [];
        let length = 0;
        response.on("data", (chunk: Buffer) => {
          chunks.push(chunk);
          length += chunk.length;
          if (length > largestAnswer) fail("the answer is too long");
        });
        response.on("error", (error) => fail(error.message));
        response.on("close", () => fail("the answer broke off"));
        response.on("end", () => {
          const { statusCode = 0, headers: answerHeaders } = response;
          let answer: unknown;
          try {
            answer = parse(Buffer.concat(chunks).toString("utf8"));
          } catch {
            answer = undefined;
          }
          end({ kind: "answered", status: statusCode, body: answer, headers: answerHeaders });
        });
      });
      if (signal?.aborted === true) abort();
    });
  }

  /** Ends the connections that are not in use. */
  close(): void {
    this.#agent.destroy();
  }
}
