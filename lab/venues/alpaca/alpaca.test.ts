import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, afterEach, before, beforeEach, describe, it } from "node:test";
import { WebSocket } from "ws";
import { createSession } from "../../session/index.ts";
import { VenuePortInUseError } from "../socket.ts";
import { type LabAlpaca, type Order, startAlpaca } from "./index.ts";
import { call, Client, trade, until } from "./testing/client.ts";

describe("the stock stream", () => {
  let alpaca: LabAlpaca;
  beforeEach(async () => void (alpaca = await startAlpaca({ market: "replay" })));
  afterEach(async () => alpaca.close());
  const connect = async () => new Client(alpaca.stream).login(alpaca);

  it("authenticates by message and by headers, and answers a subscription with the full list", async () => {
    const client = await connect();
    await client.subscribe({ trades: ["AAPL"], bars: ["*"] });
    const answer = await client.subscribe({ quotes: ["AAPL", "MSFT"], trades: ["MSFT"] });
    assert.deepEqual(answer, {
      T: "subscription",
      trades: ["AAPL", "MSFT"],
      quotes: ["AAPL", "MSFT"],
      bars: ["*"],
      updatedBars: [],
      dailyBars: [],
      statuses: [],
      lulds: [],
      corrections: ["AAPL", "MSFT"],
      cancelErrors: ["AAPL", "MSFT"],
    });
    client.send({ action: "unsubscribe", trades: ["AAPL"], bars: ["*"] });
    const after = await client.message(({ T, bars }) => T === "subscription" && (bars as []).length === 0);
    assert.deepEqual(after.trades, ["MSFT"]);
    client.socket.close();
    await until("the close", () => client.closed);

    const headers = { "APCA-API-KEY-ID": alpaca.keyId, "APCA-API-SECRET-KEY": alpaca.secret };
    const other = new Client(alpaca.stream, { headers });
    await other.message(({ msg }) => msg === "authenticated");
  });

  it("refuses with the venue's codes", async () => {
    const client = new Client(alpaca.stream);
    await client.message(({ msg }) => msg === "connected");
    client.send({ action: "subscribe", trades: ["AAPL"] });
    await client.error(401);
    client.socket.send("{");
    await client.error(400);
    await client.login(alpaca);
    client.send({ action: "auth", key: alpaca.keyId, secret: alpaca.secret });
    await client.error(403);
    client.send({ action: "subscribe", news: ["AAPL"] });
    await client.error(410);

    const second = new Client(alpaca.stream);
    await second.message(({ msg }) => msg === "connected");
    second.send({ action: "auth", key: alpaca.keyId, secret: alpaca.secret });
    await second.error(406);
    await until("the close", () => second.closed);
    assert.equal(client.closed, false, "the first connection stays");

    const wrong = new Client(alpaca.stream.replace("iex", "sip"));
    await wrong.message(({ msg }) => msg === "connected");
    wrong.send({ action: "auth", key: alpaca.keyId, secret: "wrong" });
    await wrong.error(402);
    await until("the close", () => wrong.closed);
  });

  it("leaves the subscriptions as they were when the plan's channels are exceeded", async () => {
    const client = await connect();
    const symbols = Array.from({ length: 15 }, (_, index) => `S${index}`);
    assert.equal((await client.subscribe({ trades: symbols, quotes: symbols })).T, "subscription");
    assert.equal((await client.subscribe({ trades: ["ONE"] })).code, 405);
    const answer = await client.subscribe({ bars: ["ANY"] });
    assert.deepEqual(answer.trades, symbols);
  });

  it("does not wait for ever for credentials", async () => {
    await alpaca.close();
    alpaca = await startAlpaca({ market: "replay", authenticationMs: 50 });
    const client = new Client(alpaca.stream);
    await client.error(404);
    await until("the close", () => client.closed);
  });

  it("knows no other path", async () => {
    const client = new Client(alpaca.stream.replace("/v2/iex", "/v2/nothing"));
    const error = await new Promise<Error>((resolve) => client.socket.once("error", resolve));
    assert.match(error.message, /404/);
  });

  it("plays a session to the subscriber, exact texts, in order, several messages a frame", async () => {
    const session = await createSession({ events: 2_500, seed: 4 });
    const playing = alpaca.play(session.alpacaMessages);
    const client = await connect();
    await client.subscribe({ trades: ["SPX"], quotes: ["SPX"], bars: ["SPX"] });
    assert.equal(await playing, 2_000);
    const frames = client.texts.filter((text) => !/"T":"(success|subscription)"/.test(text));
    assert.equal(frames.map((text) => text.slice(1, -1)).join(","), session.alpacaMessages.join(","));
    assert.ok(frames.length < 500, `${frames.length} frames`);
    assert.ok(client.frames.some((frame) => frame.length > 10));
    assert.equal(client.socket.extensions, "permessage-deflate");
  });

  it("passes over what nobody subscribed to", async () => {
    const client = await connect();
    await client.subscribe({ trades: ["AAPL"] });
    const messages = [trade("AAPL", 1), trade("MSFT", 2), trade("AAPL", 3)];
    const correction = JSON.stringify({ T: "c", S: "AAPL", t: "2025-01-02T14:30:00Z" });
    assert.equal(await alpaca.play([...messages, correction]), 3);
    assert.deepEqual(
      client.data.map(({ T, p }) => [T, p]),
      [
        ["t", 1],
        ["t", 3],
        ["c", undefined],
      ],
    );
  });

  it("goes on with the next message after a reconnect", async () => {
    const first = await connect();
    await first.subscribe({ trades: ["*"] });
    const total = 120;
    const messages = Array.from({ length: total }, (_, index) => trade("AAPL", index + 1));
    const playing = alpaca.play(messages, { ratePerSecond: 120 });
    await until("the first messages", () => first.data.length > 10);
    first.socket.close();
    await until("the close", () => first.closed);
    const second = await connect();
    await second.subscribe({ trades: ["*"] });
    await playing;
    const seen = second.data.map(({ p }) => Number(p));
    assert.equal(seen.at(-1), total);
    assert.deepEqual(
      seen,
      Array.from({ length: seen.length }, (_, index) => total - seen.length + 1 + index),
    );
    const last = Number(first.data.at(-1)?.p);
    assert.ok((seen[0] ?? 0) > last, "nothing comes twice");
  });

  it("speaks MessagePack with nanosecond timestamps when asked to", async () => {
    const client = await new Client(alpaca.stream, { packed: true }).login(alpaca);
    await client.subscribe({ trades: ["AAPL"] });
    await alpaca.play([trade("AAPL", 1.5, { c: ["@"] })]);
    const [message] = client.data;
    assert.deepEqual(message, {
      T: "t",
      S: "AAPL",
      p: 1.5,
      s: 1,
      t: { sec: Date.parse("2025-01-02T14:30:00Z") / 1_000, nsec: 123_456_789 },
      c: ["@"],
    });
  });

  it("refuses to play what is no data message", async () => {
    await assert.rejects(alpaca.play(["{}"]), TypeError);
  });
});

describe("trading", () => {
  let alpaca: LabAlpaca;
  let client: Client;
  beforeEach(async () => {
    alpaca = await startAlpaca({ market: "replay", fillMs: 5 });
    client = await new Client(alpaca.stream).login(alpaca);
    await client.subscribe({ trades: ["*"] });
    await alpaca.play([trade("AAPL", 100)]);
  });
  afterEach(async () => alpaca.close());
  const order = (fields: object) => ({
    symbol: "AAPL",
    qty: "2",
    side: "buy",
    type: "market",
    time_in_force: "day",
    ...fields,
  });
  const submit = (fields: object) => call(alpaca, "POST", "/v2/orders", order(fields));
  const get = async (id: string) => (await call(alpaca, "GET", `/v2/orders/${id}`)).body as Order;
  const reach = async (id: string, status: string) => {
    await until(`${status} of ${id}`, () =>
      alpaca.orders().find((found) => found.id === id && found.status === status),
    );
    return get(id);
  };

  it("fills market orders at the current price and keeps the account's books", async () => {
    const bought = await submit({ client_order_id: "first" });
    assert.equal(bought.status, 200);
    assert.equal((bought.body as Order).status, "pending_new");
    const filled = await reach((bought.body as Order).id, "filled");
    assert.deepEqual([filled.filled_qty, filled.filled_avg_price], ["2", "100"]);
    await alpaca.play([trade("AAPL", 110)]);
    const [position] = (await call(alpaca, "GET", "/v2/positions")).body as Record<string, unknown>[];
    assert.deepEqual(
      [position?.symbol, position?.qty, position?.avg_entry_price, position?.unrealized_pl],
      ["AAPL", "2", "100", "20"],
    );
    const sold = (await submit({ side: "sell", qty: "2" })).body as Order;
    await reach(sold.id, "filled");
    const account = (await call(alpaca, "GET", "/v2/account")).body as Record<string, unknown>;
    assert.deepEqual([account.cash, account.equity, account.status], ["100020", "100020", "ACTIVE"]);
    assert.equal((await call(alpaca, "GET", "/v2/positions/AAPL")).status, 404);
    const spent = (await submit({ qty: undefined, notional: "55" })).body as Order;
    assert.equal((await reach(spent.id, "filled")).filled_qty, "0.5");
  });

  it("refuses a client_order_id twice, whatever became of the first, and counts it", async () => {
    const first = (await submit({ client_order_id: "once" })).body as Order;
    await reach(first.id, "filled");
    const again = await submit({ client_order_id: "once" });
    assert.equal(again.status, 422);
    assert.deepEqual(again.body, { code: 40010001, message: "client_order_id must be unique" });
    assert.equal(alpaca.orders().length, 1);
    assert.equal(alpaca.duplicateOrders(), 1);
    const path = "/v2/orders:by_client_order_id?client_order_id=";
    assert.equal(((await call(alpaca, "GET", `${path}once`)).body as Order).id, first.id);
    assert.equal((await call(alpaca, "GET", `${path}never`)).status, 404);
  });

  it("fills limit and stop orders when the price comes, and cancels on request", async () => {
    const limit = (await submit({ type: "limit", limit_price: "90" })).body as Order;
    const stop = (await submit({ type: "stop", stop_price: "120" })).body as Order;
    const cancelled = (await submit({ type: "limit", limit_price: "1", time_in_force: "gtc" })).body as Order;
    const immediate = (await submit({ type: "limit", limit_price: "1", time_in_force: "ioc" })).body as Order;
    await reach(immediate.id, "canceled");
    for (const { id } of [limit, stop, cancelled]) await reach(id, "new");
    const open = (await call(alpaca, "GET", "/v2/orders")).body as Order[];
    assert.deepEqual(
      open.map(({ id }) => id),
      [cancelled.id, stop.id, limit.id],
    );
    assert.equal((await call(alpaca, "DELETE", `/v2/orders/${cancelled.id}`)).status, 204);
    assert.equal((await call(alpaca, "DELETE", `/v2/orders/${cancelled.id}`)).status, 422);
    await alpaca.play([trade("AAPL", 89)]);
    assert.equal((await reach(limit.id, "filled")).filled_avg_price, "89");
    await alpaca.play([trade("AAPL", 121)]);
    assert.equal((await reach(stop.id, "filled")).filled_avg_price, "121");
    const closed = (await call(alpaca, "GET", "/v2/orders?status=closed&direction=asc&limit=2")).body;
    assert.deepEqual(
      (closed as Order[]).map(({ id }) => id),
      [limit.id, stop.id],
    );
  });

  it("lets an order wait for a first price, and refuses symbols that the feed never had", async () => {
    await alpaca.play([JSON.stringify({ T: "c", S: "MSFT", t: "2025-01-02T14:30:00Z" })]);
    const waiting = (await submit({ symbol: "MSFT" })).body as Order;
    await reach(waiting.id, "new");
    await alpaca.play([trade("MSFT", 50)]);
    await reach(waiting.id, "filled");
    assert.equal((await submit({ symbol: "NONE" })).status, 422);
  });

  it("names every fault of an order", async () => {
    const { status, body } = await submit({ qty: "0", notional: "5", side: "hold", type: "limit" });
    assert.equal(status, 422);
    for (const part of ["qty", "side"]) assert.ok((body as { message: string }).message.includes(part), part);
    const both = (await submit({ notional: "5", limit_price: "1" })).body as { message: string };
    assert.match(both.message, /exactly one of qty and notional.*market orders take no limit_price/);
    assert.equal((await submit({ qty: "100000" })).status, 403);
    assert.equal((await submit({ side: "sell" })).status, 403);
    assert.equal((await submit({ type: "trailing_stop" })).status, 422);
  });

  it("wants credentials, limits requests, and knows its routes", async () => {
    assert.equal((await call(alpaca, "GET", "/v2/account", undefined, "wrong")).status, 401);
    assert.equal((await call(alpaca, "GET", "/v2/nothing")).status, 404);
    assert.equal((await call(alpaca, "PUT", "/v2/orders")).status, 405);
    const { headers } = await call(alpaca, "GET", "/v2/account");
    assert.equal(headers.get("x-ratelimit-limit"), "200");
    assert.ok(Number(headers.get("x-ratelimit-remaining")) < 200);
    await alpaca.close();
    alpaca = await startAlpaca({ market: "replay", requestsPerMinute: 2 });
    const statuses: number[] = [];
    for (let request = 0; request < 6; request++)
      statuses.push((await call(alpaca, "GET", "/v2/clock")).status);
    // Six requests touch at most two minutes.
    assert.ok(statuses.includes(429), statuses.join(" "));
  });

  it("tells trade updates to who listens, in binary frames, after either form of authentication", async () => {
    for (const authentication of [
      { action: "auth", key: alpaca.keyId, secret: alpaca.secret },
      { action: "authenticate", data: { key_id: alpaca.keyId, secret_key: alpaca.secret } },
    ]) {
      const socket = new WebSocket(alpaca.updates);
      const received: { stream: string; data: Record<string, unknown> }[] = [];
      socket.on("message", (data: Buffer, isBinary: boolean) => {
        assert.ok(isBinary);
        received.push(JSON.parse(data.toString()) as (typeof received)[number]);
      });
      await new Promise((resolve) => socket.once("open", resolve));
      socket.send(JSON.stringify({ action: "listen", data: { streams: ["trade_updates"] } }));
      socket.send(JSON.stringify(authentication));
      socket.send(JSON.stringify({ action: "listen", data: { streams: ["trade_updates"] } }));
      await until("the answers", () => received.length === 3);
      assert.deepEqual(received.slice(), [
        { stream: "authorization", data: { status: "unauthorized", action: "listen" } },
        { stream: "authorization", data: { status: "authorized", action: "authenticate" } },
        { stream: "listening", data: { streams: ["trade_updates"] } },
      ]);
      const { id } = (await submit({ qty: "1" })).body as Order;
      await until("the fill", () => received.length === 5);
      const updates = received.slice(3).map(({ data }) => data);
      assert.deepEqual(
        updates.map(({ event, order: of }) => [event, (of as Order).id, (of as Order).status]),
        [
          ["new", id, "new"],
          ["fill", id, "filled"],
        ],
      );
      assert.deepEqual([updates[1]?.price, updates[1]?.qty], ["100", "1"]);
      socket.close();
    }
    const stranger = new WebSocket(alpaca.updates);
    await new Promise((resolve) => stranger.once("open", resolve));
    stranger.send(JSON.stringify({ action: "auth", key: "x", secret: "y" }));
    await new Promise((resolve) => stranger.once("close", resolve));
  });

  it("has a clock that is open and the exchange's calendar", async () => {
    const clock = (await call(alpaca, "GET", "/v2/clock")).body as Record<string, unknown>;
    assert.equal(clock.is_open, true);
    assert.ok(Date.parse(String(clock.next_open)) > Date.parse(String(clock.next_close)));
    const { body } = await call(alpaca, "GET", "/v2/calendar?start=2025-07-03&end=2025-07-07");
    assert.deepEqual(body, [
      { date: "2025-07-03", open: "09:30", close: "13:00", session_open: "0400", session_close: "1700" },
      { date: "2025-07-07", open: "09:30", close: "16:00", session_open: "0400", session_close: "2000" },
    ]);
  });

  it("tells what the exchange decided at short notice", async () => {
    const dates = async () => {
      const { body } = await call(alpaca, "GET", "/v2/calendar?start=2028-07-05&end=2028-07-08");
      return (body as { date: string; close: string; session_close: string }[]).map((day) =>
        [day.date, day.close, day.session_close].join(" "),
      );
    };
    const usual = ["2028-07-05 16:00 2000", "2028-07-06 16:00 2000", "2028-07-07 16:00 2000"];
    assert.deepEqual(await dates(), usual);
    alpaca.announce("2028-07-05", "closed");
    alpaca.announce("2028-07-06", "14:30");
    alpaca.announce("2028-07-08", "12:00");
    alpaca.announce("2028-07-10", "12:00");
    assert.deepEqual(await dates(), [
      "2028-07-06 14:30 1830",
      "2028-07-07 16:00 2000",
      "2028-07-08 12:00 1600",
    ]);
  });
});

describe("an Alpaca by itself", () => {
  let alpaca: LabAlpaca;
  before(async () => void (alpaca = await startAlpaca({ market: "simulated" })));
  after(async () => alpaca.close());

  it("lets trades, quotes and bars flow and fills market orders", async () => {
    const client = await new Client(alpaca.stream).login(alpaca);
    await client.subscribe({ trades: ["AAPL"], quotes: ["AAPL"], bars: ["AAPL"] });
    for (const type of ["t", "q", "b"]) await client.message(({ T, S }) => T === type && S === "AAPL");
    assert.ok(client.data.every(({ S }) => S === "AAPL"));
    const { body } = await call(alpaca, "POST", "/v2/orders", {
      symbol: "AAPL",
      qty: 1,
      side: "buy",
      type: "market",
      time_in_force: "day",
    });
    await until("the fill", () => alpaca.orders().find(({ status }) => status === "filled"));
    assert.equal(alpaca.orders()[0]?.id, (body as Order).id);
  });

  it("serves FAKEPACA on the test feed beside the other one", async () => {
    const client = await new Client(alpaca.stream.replace("iex", "test")).login(alpaca);
    await client.subscribe({ quotes: ["FAKEPACA"] });
    await client.message(({ S }) => S === "FAKEPACA");
  });

  it("says when its port is taken", async () => {
    const squatter = createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => squatter.once("listening", resolve));
    const { port } = squatter.address() as { port: number };
    await assert.rejects(startAlpaca({ port, market: "replay" }), VenuePortInUseError);
    squatter.close();
  });
});
