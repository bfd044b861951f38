/** Faults as an HTTP client meets them. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Obstruction } from "./faults.ts";

/**
 * Does to the client what takes the place of an answer.
 * @param bodies JSON texts of the venue's errors.
 */
export function obstructHttp(
  { kind }: Obstruction,
  request: IncomingMessage,
  response: ServerResponse,
  bodies: { serverError: string; rateLimited: string },
): void {
  const respond = (status: number, body: string) => {
    response.writeHead(status, { "content-type": "application/json" }).end(body);
  };
  switch (kind) {
    case "timeout_after_accept":
    case "timeout":
      return; // the connection stays open, and nothing comes
    case "drop_socket":
      request.socket.resetAndDestroy();
      return;
    case "server_error":
    case "error_after_accept":
      return respond(500, bodies.serverError);
    case "rate_limited":
      return respond(429, bodies.rateLimited);
  }
}
