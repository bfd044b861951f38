import assert from "node:assert/strict";
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { after, test } from "node:test";
import { WebSocketServer, type WebSocket } from "ws";
import type { MayStillSend } from "../../core/execution-venue.ts";
import { testContext, until } from "../../core/testing.ts";
import { Relay, type QuoteUsed } from "./relay.ts";

const closing: (() => Promise<void> | void)[] = [];
after(async () => {
  for (const close of closing.reverse()) await close();
});

interface Request {
  id: number;
  method: string;
  params: unknown[];
}

/** A relay that accepts the subscription and leaves all else to the test. */
async function world(rpc: (request: Request) => { status: number; body: string }, answerMs = 10_000) {
  const sockets: WebSocket[] = [];
  const requests: Request[] = [];
  const headers: IncomingHttpHeaders[] = [];
  const http = createServer((request, response) => {
    headers.push(request.headers);
    let body = "";
    request.on("data", (chunk: Buffer) => (body += chunk.toString()));
    request.on("end", () => {
      const answer = rpc(JSON.parse(body) as Request);
      response.writeHead(answer.status).end(answer.body);
    });
  });
  const server = new WebSocketServer({ server: http });
  server.on("connection", (socket) => {
    sockets.push(socket);
    socket.on("message", (data: Buffer) => {
      const request = JSON.parse(data.toString()) as Request;
      if (request.method === "subscribe") socket.send(JSON.stringify({ id: request.id, result: "s" }));
      else requests.push(request);
    });
  });
  await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
  const { port } = http.address() as AddressInfo;
  const used: [string, QuoteUsed][] = [];
  let connections = 0;
  const relay = new Relay({
    webSocketUrl: `ws://127.0.0.1:${port}/ws`,
    rpcUrl: `http://127.0.0.1:${port}/rpc`,
    token: "jwt",
    context: testContext(),
    answerMs,
    listener: {
      onUsed: (hash, use) => used.push([hash, use]),
      onReconnected: () => (connections += 1),
    },
  });
  closing.push(async () => {
    await relay.close();
    for (const socket of sockets) socket.terminate();
    server.close();
    http.closeAllConnections();
    http.close();
  });
  await until("connected", () => connections === 1);
  return { relay, sockets, requests, used, headers, connections: () => connections };
}

const request = (
  relay: Relay,
  parameter: number,
  end = Date.now() + 60_000,
  mayStillSend: MayStillSend = () => undefined,
) => relay.request("quote_response", [parameter], end, mayStillSend);

const notFound = () => ({
  status: 200,
  body: '{"jsonrpc":"2.0","id":1,"result":{"intent_hash":"h","status":"NOT_FOUND_OR_NOT_VALID"}}',
});

test("each request gets its own answer, whatever their order", async () => {
  const { relay, sockets, requests } = await world(notFound);
  const [first, second] = [request(relay, 1), request(relay, 2)];
  await until("both requests", () => requests.length === 2);
  const answer = (id: number | undefined, body: object) => sockets[0]?.send(JSON.stringify({ id, ...body }));
  answer(requests[1]?.id, { error: { code: -1, message: "late" } });
  answer(requests[0]?.id, { result: "OK" });
  const answers = await Promise.all([first, second]);
  assert.equal(answers[0].kind === "answered" && answers[0].response.result, "OK");
  assert.equal(answers[1].kind === "answered" && answers[1].response.error?.message, "late");
});

test("no answer in time, and a connection that ends, leave the outcome open", async () => {
  const { relay, sockets, requests } = await world(notFound, 300);
  assert.equal((await request(relay, 1)).kind, "unanswered");
  const cut = request(relay, 2);
  await until("the request", () => requests.length === 2);
  sockets[0]?.terminate();
  assert.equal((await cut).kind, "unanswered");
});

test("without a connection a request waits for one, but not beyond its time, and not when there will be none", async () => {
  const { relay, sockets, requests, connections } = await world(notFound);
  const cut = request(relay, 1);
  await until("the request", () => requests.length === 1);
  sockets[0]?.terminate();
  await cut;
  const late = request(relay, 2, Date.now() - 1);
  const waiting = request(relay, 3);
  assert.equal((await late).kind, "not_sent");
  await until("reconnected", () => connections() === 2);
  await until("the request that waited", () => requests.length === 2);
  assert.deepEqual(requests[1]?.params, [3]);
  sockets[1]?.terminate();
  await waiting;
  const hopeless = request(relay, 4);
  await relay.close();
  assert.equal((await hopeless).kind, "not_sent");
  assert.equal(requests.length, 2);
});

test("what may not be sent any more when the connection is there is not sent", async () => {
  const { relay, sockets, requests, connections } = await world(notFound);
  const cut = request(relay, 1);
  await until("the request", () => requests.length === 1);
  sockets[0]?.terminate();
  await cut;
  const reason = { code: "kill_switch", message: "stopped" };
  let isStopped = false;
  const waiting = request(relay, 2, undefined, () => (isStopped ? reason : undefined));
  isStopped = true;
  assert.deepEqual(await waiting, { kind: "not_sent", reason });
  assert.equal(connections(), 2, "it was asked when there was a connection again");
  // The connection keeps the order of requests: the one before this would have come first.
  const next = request(relay, 3);
  await until("the next request", () => requests.length > 1);
  assert.deepEqual(requests.at(1)?.params, [3]);
  sockets[1]?.terminate();
  await next;
});

test("status events come in both shapes", async () => {
  const { sockets, used } = await world(notFound);
  const fields = { quote_hash: "q", intent_hash: "i", tx_hash: "t" };
  sockets[0]?.send(JSON.stringify({ method: "subscribe", params: { subscription: "s", ...fields } }));
  sockets[0]?.send(JSON.stringify({ method: "event", params: { subscription: "s", data: fields } }));
  sockets[0]?.send(JSON.stringify({ method: "event", params: { subscription: "s", data: { other: 1 } } }));
  await until("two events", () => used.length === 2);
  assert.deepEqual(used[0], ["q", { intentHash: "i", txHash: "t" }]);
  assert.deepEqual(used[1], used[0]);
});

test("a status is asked for until the relay answers", async () => {
  let calls = 0;
  const { relay, headers } = await world((request) => {
    calls += 1;
    assert.deepEqual(request.params, [{ intent_hash: "h" }]);
    if (calls === 1) return { status: 502, body: "bad gateway" };
    if (calls === 2) return { status: 200, body: '{"id":1,"error":{"code":-1,"message":"busy"}}' };
    return {
      status: 200,
      body: '{"id":1,"result":{"status":"SETTLED","intent_hash":"h","data":{"hash":"tx"}}}',
    };
  });
  const status = await relay.status("h", new AbortController().signal);
  assert.equal(status.status, "SETTLED");
  assert.equal(status.data?.hash, "tx");
  assert.equal(calls, 3);
  assert.equal(headers[0]?.authorization, "Bearer jwt");
});

test("asking ends when it is aborted", async () => {
  const { relay } = await world(() => ({ status: 500, body: "" }));
  const abort = new AbortController();
  const status = relay.status("h", abort.signal);
  abort.abort();
  await assert.rejects(status);
});
