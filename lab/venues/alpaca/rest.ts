/** Alpaca's trading REST API, as far as the lab has it. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { z } from "zod";
import { Obstruction } from "../faults.ts";
import { obstructHttp } from "../http-faults.ts";
import { type Credentials, headerCredentials, isSame } from "./account.ts";
import { RateLimit } from "./rate-limit.ts";
import { createRoutes, type RouteArguments } from "./routes.ts";
import { VenueError } from "./venue-error.ts";

export interface RestArguments extends RouteArguments {
  credentials: Credentials;
  /** Requests a minute. */
  requestsPerMinute: number;
}

/** What a request is answered. */
export interface Answer {
  status: number;
  body?: unknown;
}

/** What a client gets for a fault that is answered. */
const faultBodies = {
  serverError: JSON.stringify({ code: 50010000, message: "internal server error occurred" }),
  rateLimited: JSON.stringify({ code: 42910000, message: "rate limit exceeded" }),
};

/** The API's request handler. */
export function createRest(
  args: RestArguments,
): (request: IncomingMessage, response: ServerResponse) => void {
  const limit = new RateLimit(args.requestsPerMinute);
  const routes = createRoutes(args);
  return (request, response) => {
    const respond = ({ status, body }: Answer) => {
      response.writeHead(status, {
        ...limit.headers(),
        ...(body === undefined ? {} : { "content-type": "application/json" }),
      });
      response.end(body === undefined ? undefined : JSON.stringify(body));
    };
    const given = headerCredentials(request.headers);
    if (given === undefined || !isSame(args.credentials, given)) {
      return respond({ status: 401, body: { code: 40110000, message: "request is not authorized" } });
    }
    if (!limit.take())
      return respond({ status: 429, body: { code: 42910000, message: "rate limit exceeded" } });
    const { pathname, searchParams: query } = new URL(request.url ?? "/", "http://lab");
    const match = routes.find(({ method, path }) => method === request.method && path.test(pathname));
    if (match === undefined) {
      const known = routes.some(({ path }) => path.test(pathname));
      return respond({
        status: known ? 405 : 404,
        body: { message: known ? "Method Not Allowed" : "Not Found" },
      });
    }
    const id = decodeURIComponent(match.path.exec(pathname)?.[1] ?? "");
    const read = <Schema extends z.ZodType>(schema: Schema) => readBody(request, schema);
    Promise.resolve()
      .then(() => match.answer({ read, query, id }))
      .catch((error: unknown): Answer => {
        const known = error instanceof VenueError ? error : new VenueError(500, 50010000, String(error));
        return { status: known.status, body: { code: known.code, message: known.message } };
      })
      .then((answer) => {
        if (answer instanceof Obstruction) obstructHttp(answer, request, response, faultBodies);
        else respond(answer);
      })
      .catch(() => response.destroy());
  };
}

/** @throws VenueError for what is too large, no JSON, or not what the schema says. */
async function readBody<Schema extends z.ZodType>(
  request: IncomingMessage,
  schema: Schema,
): Promise<z.infer<Schema>> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > 100_000) throw new VenueError(413, 41310000, "request body too large");
    chunks.push(chunk);
  }
  let value: unknown;
  try {
    value = JSON.parse(Buffer.concat(chunks).toString("utf8"));
  } catch {
    throw new VenueError(400, 40010000, "request body format is invalid");
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`);
  throw new VenueError(422, 40010001, faults.join("; "));
}
