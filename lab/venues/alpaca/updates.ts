/** Trade updates: the `/stream` of the trading host. Frames are binary, as the paper host's are. */
import type { WebSocket } from "ws";
import { z } from "zod";
import { type Credentials, isSame } from "./account.ts";
import type { TradeUpdate } from "./order-book.ts";

const actionSchema = z.discriminatedUnion("action", [
  z.object({ action: z.literal("auth"), key: z.unknown(), secret: z.unknown() }),
  // What alpaca-py sends.
  z.object({
    action: z.literal("authenticate"),
    data: z.object({ key_id: z.unknown(), secret_key: z.unknown() }),
  }),
  z.object({ action: z.literal("listen"), data: z.object({ streams: z.array(z.string()) }) }),
]);

/** The clients of trade updates. */
export class TradeUpdates {
  readonly #credentials: Credentials;
  readonly #listeners = new Set<WebSocket>();

  constructor(credentials: Credentials) {
    this.#credentials = credentials;
  }

  /** Sends an update to all who listen. */
  publish(update: TradeUpdate): void {
    for (const socket of this.#listeners) send(socket, { stream: "trade_updates", data: update });
  }

  /** Breaks all connections off, as a failing network does. @returns how many there were. */
  breakOff(): number {
    const count = this.#listeners.size;
    for (const socket of this.#listeners) socket.terminate();
    return count;
  }

  /** Serves one connection. */
  serve(socket: WebSocket): void {
    let authenticated = false;
    socket.on("close", () => this.#listeners.delete(socket));
    socket.on("error", () => socket.terminate());
    socket.on("message", (data: Buffer) => {
      const action = parse(data);
      if (action === undefined) {
        return send(socket, { stream: "error", data: { error: "invalid message" } });
      }
      if (action.action === "listen") {
        if (!authenticated) return authorization(socket, "unauthorized", "listen");
        // Other streams existed once; only this one is served, and the answer says so.
        const streams = action.data.streams.filter((stream) => stream === "trade_updates");
        if (streams.length > 0) this.#listeners.add(socket);
        else this.#listeners.delete(socket);
        return send(socket, { stream: "listening", data: { streams } });
      }
      const given =
        action.action === "auth"
          ? { keyId: action.key, secret: action.secret }
          : { keyId: action.data.key_id, secret: action.data.secret_key };
      authenticated = isSame(this.#credentials, given);
      authorization(socket, authenticated ? "authorized" : "unauthorized", "authenticate");
      if (!authenticated) socket.close();
    });
  }
}

function parse(data: Buffer): z.infer<typeof actionSchema> | undefined {
  try {
    return actionSchema.parse(JSON.parse(data.toString("utf8")));
  } catch {
    return undefined;
  }
}

function authorization(socket: WebSocket, status: "authorized" | "unauthorized", action: string): void {
  send(socket, { stream: "authorization", data: { status, action } });
}

function send(socket: WebSocket, message: object): void {
  socket.send(Buffer.from(JSON.stringify(message)), { binary: true });
}
