import assert from "node:assert/strict";
import type { IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { after, test } from "node:test";
import { WebSocketServer, type WebSocket } from "ws";
import type { VenueMessage } from "../../bus/ingest.ts";
import { testContext, until } from "../../core/testing.ts";
import { openQuoteFeed } from "./ingest.ts";

const closing: (() => Promise<void> | void)[] = [];
after(async () => {
  for (const close of closing.reverse()) await close();
});

async function relay(answer: (request: { id: number }) => object) {
  const sockets: WebSocket[] = [];
  const requests: object[] = [];
  const handshakes: IncomingMessage[] = [];
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  server.on("connection", (socket, request) => {
    sockets.push(socket);
    handshakes.push(request);
    socket.on("message", (data: Buffer) => {
      const message = JSON.parse(data.toString()) as { id: number };
      requests.push(message);
      socket.send(JSON.stringify({ jsonrpc: "2.0", id: message.id, ...answer(message) }));
    });
  });
  await new Promise((resolve) => server.once("listening", resolve));
  closing.push(() => {
    for (const socket of sockets) socket.terminate();
    server.close();
  });
  return {
    url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}/ws`,
    sockets,
    requests,
    handshakes,
  };
}

test("it subscribes with the token, and takes every event with its exact text", async () => {
  const { url, sockets, requests, handshakes } = await relay(() => ({ result: "subscription-1" }));
  const taken: VenueMessage[] = [];
  const feed = openQuoteFeed({
    url,
    token: "jwt",
    context: testContext(),
    take: (_session, message) => taken.push(message),
  });
  closing.push(() => feed.close());
  await until("subscribed", () => feed.session !== undefined);
  assert.deepEqual(requests, [{ jsonrpc: "2.0", id: 1, method: "subscribe", params: ["quote"] }]);
  assert.equal(handshakes[0]?.headers.authorization, "Bearer jwt");

  const fields = '"quote_id":"q","defuse_asset_identifier_in":"a","defuse_asset_identifier_out":"b"';
  const texts = [
    `{"jsonrpc": "2.0",  "method":"subscribe","params":{"subscription":"s",${fields},"exact_amount_in":"1"}}`,
    `{"method":"event","params":{"subscription":"s","data":{${fields},"exact_amount_in":"1"},"metadata":{}}}`,
    '{"method":"event","params":{"subscription":"s","data":{"new":"kind"}}}',
    "no JSON at all",
  ];
  for (const text of texts) sockets[0]?.send(text);
  await until("all messages", () => taken.length === texts.length);
  assert.deepEqual(
    taken,
    [
      { messageType: "quote", key: "a|b" },
      { messageType: "quote", key: "a|b" },
      { messageType: null, key: "unreadable" },
      { messageType: null, key: "unreadable" },
    ].map((rest, index) => ({ text: texts[index], ...rest })),
  );
});

test("a refused subscription ends the connection and is tried again", async () => {
  let attempts = 0;
  const { url } = await relay(() => {
    attempts += 1;
    return attempts === 1 ? { error: { code: -32000, message: "not now" } } : { result: "s" };
  });
  const feed = openQuoteFeed({ url, token: "jwt", context: testContext(), take: () => undefined });
  closing.push(() => feed.close());
  await until("subscribed in the end", () => feed.session !== undefined);
  assert.equal(attempts, 2);
});
