/** Questions over HTTP to what surrounds the cluster's services, whose answers may be long. */
import { type IncomingMessage } from "node:http";
import * as http from "node:http";
import * as https from "node:https";

/** The other side did not give what was asked for. */
export class EvidenceHttpError extends Error {
  override readonly name = "EvidenceHttpError";
  /** HTTP status; undefined when there was no answer. */
  readonly status: number | undefined;

  constructor(message: string, status?: number, options?: ErrorOptions) {
    super(message, options);
    this.status = status;
  }
}

/** Arguments of {@link get}. */
export interface GetOptions {
  headers?: Readonly<Record<string, string>>;
  /** Certificates that the server's must be signed by, PEM. Default: those of Node.js. */
  ca?: string;
  signal: AbortSignal;
}

/** How much of an error's answer is told. */
const toldBytes = 500;

/**
 * Asks with GET and hands over the answer's body as it comes.
 * @throws EvidenceHttpError for an answer other than 200, or none; the signal's reason.
 */
export async function get(url: URL, { headers, ca, signal }: GetOptions): Promise<IncomingMessage> {
  signal.throwIfAborted();
  const where = `${url.origin}${url.pathname}`;
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const options = { headers: { ...headers }, signal };
    const request =
      url.protocol === "https:"
        ? https.get(url, { ...options, ...(ca === undefined ? {} : { ca }) }, resolve)
        : http.get(url, options, resolve);
    request.on("error", (error) => {
      reject(
        signal.aborted
          ? (signal.reason as Error)
          : new EvidenceHttpError(`${where} does not answer: ${error.message}`, undefined, { cause: error }),
      );
    });
  });
  const { statusCode: status } = response;
  if (status === 200) return response;
  const body = await readBody(response, toldBytes).catch(() => Buffer.alloc(0));
  throw new EvidenceHttpError(`${where} answers ${status}: ${body.toString("utf8").trim()}`, status);
}

/**
 * Reads a body to its end.
 * @param limit bytes; of a longer body this much is returned and the rest is not read.
 */
export async function readBody(response: IncomingMessage, limit: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    bytes += chunk.length;
    // Leaving the loop ends the connection.
    if (bytes >= limit) break;
  }
  return Buffer.concat(chunks).subarray(0, limit);
}
