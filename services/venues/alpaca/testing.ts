/** A venue for tests: Alpaca's trading API and trade updates on loopback, whose every answer the test decides. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { WebSocketServer, type WebSocket } from "ws";

/** One request that came. */
export interface SeenRequest {
  method: string;
  /** With its query. */
  path: string;
  body: Record<string, unknown> | undefined;
  headers: IncomingMessage["headers"];
}

/** Answers a request and returns true; false leaves it to what the fake venue does by itself. */
export type Answer = (request: SeenRequest, response: ServerResponse) => boolean;

/** An order as the fake venue shows it. */
export type ShownOrder = Record<string, unknown> & { id: string; client_order_id: string; status: string };

/** The fake venue. */
export interface FakeAlpaca {
  readonly url: string;
  readonly updatesUrl: string;
  /** All requests, in the order they came. */
  readonly requests: SeenRequest[];
  /** Requests of one method whose path begins with `path`. */
  seen(method: string, path?: string): SeenRequest[];
  /** Its book, by client order id; orders are put there by accepted `POST`s and by the test. */
  readonly orders: Map<string, ShownOrder>;
  /** Decides answers; by default orders are taken and stay `new`. */
  answer: Answer;
  /** Connections to trade updates that listen. */
  readonly listening: WebSocket[];
  /** Actions that came on trade updates. */
  readonly actions: unknown[];
  /** Changes an order and tells of it. @param binary whether in a binary frame. Default true. */
  update(clientOrderId: string, event: string, change: Record<string, unknown>, binary?: boolean): void;
  close(): Promise<void>;
}

/** Answers with JSON, or with a text as it is. */
export function reply(
  response: ServerResponse,
  status: number,
  body?: unknown,
  headers: Record<string, string> = {},
): true {
  response.writeHead(status, { "content-type": "application/json", ...headers });
  response.end(body === undefined ? undefined : typeof body === "string" ? body : JSON.stringify(body));
  return true;
}

/** Resets the connection instead of an answer. */
export function drop(response: ServerResponse): true {
  response.destroy();
  return true;
}

/** Starts the fake venue. */
export async function fakeAlpaca(): Promise<FakeAlpaca> {
  const requests: SeenRequest[] = [];
  const orders = new Map<string, ShownOrder>();
  const listening: WebSocket[] = [];
  const actions: unknown[] = [];
  const sockets = new Set<WebSocket>();

  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const text = Buffer.concat(chunks).toString("utf8");
      const seen: SeenRequest = {
        method: request.method ?? "",
        path: request.url ?? "",
        body: text === "" ? undefined : (JSON.parse(text) as Record<string, unknown>),
        headers: request.headers,
      };
      requests.push(seen);
      if (!fake.answer(seen, response)) byItself(seen, response);
    });
  });
  const byItself = ({ method, path, body }: SeenRequest, response: ServerResponse): void => {
    const url = new URL(path, "http://fake");
    if (method === "POST") reply(response, 200, accept(body ?? {}));
    else if (method === "DELETE") {
      const order = [...orders.values()].find(({ id }) => path.endsWith(`/${id}`));
      if (order === undefined) reply(response, 404, { code: 40410000, message: "order not found" });
      else {
        order.status = "canceled";
        reply(response, 204);
      }
    } else if (url.pathname === "/v2/orders:by_client_order_id") {
      const order = orders.get(url.searchParams.get("client_order_id") ?? "");
      if (order === undefined) reply(response, 404, { code: 40410000, message: "order not found for it" });
      else reply(response, 200, order);
    } else if (url.pathname === "/v2/orders") reply(response, 200, [...orders.values()]);
    else reply(response, 404, { message: "Not Found" });
  };
  const accept = (body: Record<string, unknown>): ShownOrder => {
    const clientOrderId = String(body["client_order_id"]);
    const order = {
      ...body,
      id: `venue-${clientOrderId}`,
      client_order_id: clientOrderId,
      status: "pending_new",
      filled_qty: "0",
      filled_avg_price: null,
      submitted_at: new Date().toISOString(),
    };
    orders.set(clientOrderId, order);
    return order;
  };

  const updates = new WebSocketServer({ server, path: "/stream" });
  updates.on("connection", (socket) => {
    sockets.add(socket);
    const say = (message: object): void => socket.send(Buffer.from(JSON.stringify(message)));
    socket.on("message", (data: Buffer) => {
      const action = JSON.parse(data.toString("utf8")) as { action: string; key?: string };
      actions.push(action);
      if (action.action === "auth") {
        const status = action.key === "key" ? "authorized" : "unauthorized";
        say({ stream: "authorization", data: { status, action: "authenticate" } });
      } else {
        listening.push(socket);
        say({ stream: "listening", data: { streams: ["trade_updates"] } });
      }
    });
    socket.on("close", () => {
      sockets.delete(socket);
      const at = listening.indexOf(socket);
      if (at >= 0) listening.splice(at, 1);
    });
  });

  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const fake: FakeAlpaca = {
    url: `http://127.0.0.1:${port}`,
    updatesUrl: `ws://127.0.0.1:${port}/stream`,
    requests,
    seen: (method, path = "/") =>
      requests.filter((request) => request.method === method && request.path.startsWith(path)),
    orders,
    answer: () => false,
    listening,
    actions,
    update: (clientOrderId, event, change, binary = true) => {
      const order = orders.get(clientOrderId);
      if (order === undefined) throw new Error(`the test knows no order ${clientOrderId}`);
      Object.assign(order, change);
      const text = JSON.stringify({ stream: "trade_updates", data: { event, order } });
      for (const socket of listening) socket.send(binary ? Buffer.from(text) : text);
    },
    close: async () => {
      for (const socket of sockets) socket.terminate();
      updates.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return fake;
}
