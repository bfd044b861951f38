import assert from "node:assert/strict";
import type { AddressInfo } from "node:net";
import { after, test } from "node:test";
import { WebSocketServer, type WebSocket } from "ws";
import type { VenueMessage } from "../../bus/ingest.ts";
import { testContext, until } from "../../core/testing.ts";
import { AlpacaRefusedError, openStockFeed } from "./ingest.ts";

const closing: (() => Promise<void> | void)[] = [];
after(async () => {
  for (const close of closing.reverse()) await close();
});

interface Action {
  action: string;
  [field: string]: unknown;
}

const success = (message: string) => [{ T: "success", msg: message }];

/** The real flow; `onAction` may answer an action of the n-th connection (from 0) itself, by returning true. */
async function venue(
  onAction: (socket: WebSocket, action: Action, connection: number) => boolean = () => false,
) {
  const sockets: WebSocket[] = [];
  const actions: Action[] = [];
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1", perMessageDeflate: true });
  server.on("connection", (socket) => {
    const connection = sockets.push(socket) - 1;
    socket.send(JSON.stringify(success("connected")));
    socket.on("message", (data: Buffer) => {
      const action = JSON.parse(data.toString()) as Action;
      actions.push(action);
      if (onAction(socket, action, connection)) return;
      if (action.action === "auth") socket.send(JSON.stringify(success("authenticated")));
      else socket.send(JSON.stringify([{ T: "subscription", trades: ["*"], quotes: ["*"], bars: ["*"] }]));
    });
  });
  await new Promise((resolve) => server.once("listening", resolve));
  closing.push(() => {
    for (const socket of sockets) socket.terminate();
    server.close();
  });
  return { url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}/v2/iex`, sockets, actions };
}

function open(url: string) {
  const context = testContext();
  const taken: VenueMessage[] = [];
  const feed = openStockFeed({
    url,
    keyId: "key",
    secretKey: "secret",
    symbols: ["AAPL", "SPY"],
    context,
    take: (_session, message) => taken.push(message),
    backoff: { first: 5, longest: 20 },
  });
  closing.push(() => feed.close());
  return { feed, context, taken };
}

const refuse = (code: number) => (socket: WebSocket) => {
  socket.send(JSON.stringify([{ T: "error", code, msg: "refused" }]));
  return true;
};

test("it authenticates, subscribes every channel, and keeps each message's text of a batch", async () => {
  const { url, sockets, actions } = await venue();
  const { feed, taken } = open(url);
  await until("subscribed", () => feed.session !== undefined);
  const symbols = ["AAPL", "SPY"];
  assert.deepEqual(actions, [
    { action: "auth", key: "key", secret: "secret" },
    {
      action: "subscribe",
      trades: symbols,
      quotes: symbols,
      bars: symbols,
      updatedBars: symbols,
      dailyBars: symbols,
      statuses: symbols,
      lulds: symbols,
    },
  ]);
  const trade = '{"T":"t","i":9007199254740993,"S":"AAPL","p":1.10,"t":"2025-10-14T13:30:00.123456789Z"}';
  const quote = '{"T":"q", "S":"SPY","bp":1e2,"t":"not a time"}';
  const unknown = '{"T":"zz","S":"SPY","brand":"new"}';
  sockets[0]?.send(`[${trade},${quote} ,${unknown}]`);
  sockets[0]?.send("[]");
  sockets[0]?.send("{no array");
  await until("four messages", () => taken.length === 4);
  assert.deepEqual(taken, [
    { text: trade, messageType: "t", key: "AAPL", observedAt: "2025-10-14T13:30:00.123456789Z" },
    { text: quote, messageType: "q", key: "SPY", observedAt: undefined },
    { text: unknown, messageType: "zz", key: "SPY", observedAt: undefined },
    { text: "{no array", messageType: null, key: "unreadable" },
  ]);
});

test("wrong credentials, a missing data plan and a symbol limit at the start are fatal and say what to check", async () => {
  for (const [code, action, hint] of [
    [402, "auth", /ALPACA_KEY_ID/],
    [409, "subscribe", /data plan/],
    [405, "subscribe", /data plan/],
  ] as const) {
    const { url } = await venue((socket, { action: given }) => given === action && refuse(code)(socket));
    const { context, feed } = open(url);
    await until(`fatal ${code}`, () => context.fatals.length > 0);
    const [error] = context.fatals;
    assert.ok(error instanceof AlpacaRefusedError);
    assert.equal(error.code, code);
    assert.match(error.message, hint);
    await feed.close();
  }
});

test("a second connection (406) and being too slow (407) are tried again", async () => {
  const { url, sockets } = await venue(
    (socket, { action }, connection) => connection === 0 && action === "auth" && refuse(406)(socket),
  );
  const { feed, context, taken } = open(url);
  await until("subscribed on the second attempt", () => feed.session !== undefined);
  assert.equal(sockets.length, 2);
  sockets[1]?.send(JSON.stringify([{ T: "error", code: 407, msg: "slow client" }]));
  await until("a third connection", () => sockets.length === 3 && feed.session !== undefined);
  assert.deepEqual(context.fatals, []);
  assert.deepEqual(taken, [], "errors are no market data");
});

test("a refused action on a running feed changes nothing", async () => {
  const { url, sockets } = await venue();
  const { feed, context, taken } = open(url);
  await until("subscribed", () => feed.session !== undefined);
  sockets[0]?.send(JSON.stringify([{ T: "error", code: 405, msg: "symbol limit exceeded" }]));
  sockets[0]?.send('[{"T":"t","S":"AAPL"}]');
  await until("the feed goes on", () => taken.length === 1);
  assert.equal(sockets.length, 1);
  assert.deepEqual(context.fatals, []);
});

test("all documented kinds are kept as they are, corrections and cancels too", async () => {
  const { url, sockets } = await venue();
  const { feed, taken } = open(url);
  await until("subscribed", () => feed.session !== undefined);
  const messages = [..."tqbudcxsl"].map((kind) => `{"T":"${kind}","S":"SPY", "t":"2025-10-14T13:30:00Z"}`);
  sockets[0]?.send(Buffer.from(`[${messages.join(",")}]`), { binary: true });
  await until("all", () => taken.length === messages.length);
  assert.deepEqual(
    taken.map(({ text }) => text),
    messages,
  );
});

test("a gap is on record, from the last message to the next subscription; a change of subscriptions is none", async () => {
  const { url, sockets } = await venue();
  const { feed, context, taken } = open(url);
  const gap = async () =>
    Number(
      /^trading_feed_gap_seconds_total\{.*\} (.*)$/m.exec(await context.metrics.registry.metrics())?.[1],
    );
  await until("subscribed", () => feed.session !== undefined);
  assert.equal(await gap(), 0);
  sockets[0]?.send(JSON.stringify([{ T: "subscription", trades: ["*"] }]));
  const from = performance.now();
  sockets[0]?.send('[{"T":"t","S":"SPY"}]');
  await until("a message", () => taken.length === 1);
  assert.equal(await gap(), 0);
  sockets[0]?.terminate();
  await until("subscribed again", () => sockets.length === 2 && feed.session !== undefined);
  const seconds = await gap();
  assert.ok(seconds > 0 && seconds <= (performance.now() - from) / 1_000 + 0.05, String(seconds));
});
