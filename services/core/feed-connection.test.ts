import assert from "node:assert/strict";
import type { AddressInfo } from "node:net";
import { after, test } from "node:test";
import { WebSocketServer, type WebSocket } from "ws";
import { openFeed, type Feed, type FeedOptions, type FeedSession } from "./feed-connection.ts";
import { testContext, until } from "./testing.ts";

const closing: (() => Promise<void> | void)[] = [];
after(async () => {
  for (const close of closing.reverse()) await close();
});

/** A tiny WebSocket server; `sockets` are its connections so far. */
async function server(options: { autoPong?: boolean } = {}): Promise<{ url: string; sockets: WebSocket[] }> {
  const sockets: WebSocket[] = [];
  const listening = new WebSocketServer({ port: 0, host: "127.0.0.1", ...options });
  listening.on("connection", (socket) => sockets.push(socket));
  await new Promise((resolve) => listening.once("listening", resolve));
  closing.push(() => {
    for (const socket of sockets) socket.terminate();
    listening.close();
  });
  return { url: `ws://127.0.0.1:${(listening.address() as AddressInfo).port}`, sockets };
}

function open(url: string, more: Partial<FeedOptions> = {}) {
  const context = testContext();
  const messages: { session: FeedSession; text: string }[] = [];
  const feed: Feed = openFeed({
    feed: "test",
    url,
    context,
    silenceMs: 10_000,
    backoff: { first: 5, longest: 20 },
    onOpen: (session) => session.established(),
    onMessage: (session, data) => messages.push({ session, text: data.toString() }),
    ...more,
  });
  closing.push(() => feed.close());
  return { feed, context, messages };
}

test("an ended connection is opened again, as another session", async () => {
  const { url, sockets } = await server();
  const { feed, messages, context } = open(url);
  await until("connected", () => feed.session !== undefined);
  sockets[0]?.send("one");
  await until("one message", () => messages.length === 1);
  sockets[0]?.terminate();
  await until("a second connection", () => sockets.length === 2 && feed.session !== undefined);
  sockets[1]?.send("two");
  await until("two messages", () => messages.length === 2);
  assert.notEqual(messages[0]?.session.id, messages[1]?.session.id);
  assert.match(
    await context.metrics.registry.metrics(),
    /trading_feed_reconnects_total{[^}]*feed="test"[^}]*} 1/,
  );
});

test("a silent connection is given up; one that answers our pings is not", async () => {
  const deaf = await server({ autoPong: false });
  const given = open(deaf.url, { silenceMs: 150 });
  await until("given up", () => deaf.sockets.length >= 2);
  await given.feed.close();

  const alive = await server();
  open(alive.url, { silenceMs: 150 });
  await until("pinged", () => alive.sockets.length === 1);
  let pings = 0;
  alive.sockets[0]?.on("ping", () => (pings += 1));
  await until("several pings", () => pings >= 3);
  assert.equal(alive.sockets.length, 1);
});

test("a connection that is not established in time is given up", async () => {
  const { url, sockets } = await server();
  const { feed } = open(url, { establishMs: 30, onOpen: () => undefined });
  await until("several attempts", () => sockets.length >= 3);
  assert.equal(feed.session, undefined);
});

test("a closed feed neither delivers nor comes back", async () => {
  const { url, sockets } = await server();
  const { feed, messages } = open(url);
  await until("connected", () => feed.session !== undefined);
  const closed = feed.close();
  sockets[0]?.send("too late");
  await closed;
  assert.equal(messages.length, 0);
  assert.equal(feed.session, undefined);
  // Another feed's whole life is long enough for a reconnection, were there one.
  const other = open(url);
  await until("the other feed", () => other.feed.session !== undefined);
  sockets[1]?.terminate();
  await until(
    "the other feed's second connection",
    () => other.feed.session !== undefined && sockets.length >= 3,
  );
  assert.equal(sockets.length, 3);
});

test("a venue that is away is tried again, and close() ends that", async () => {
  const { feed, context } = open("ws://127.0.0.1:1");
  const reconnects = async () =>
    Number(
      (await context.metrics.registry.metrics())
        .split("\n")
        .find((line) => line.startsWith("trading_feed_reconnects_total{"))
        ?.split(" ")
        .at(-1) ?? 0,
    );
  let seen = 0;
  const timer = setInterval(() => void reconnects().then((count) => (seen = count)), 5);
  await until("three attempts", () => seen >= 3).finally(() => clearInterval(timer));
  await feed.close();
});
