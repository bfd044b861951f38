import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { afterEach, describe, it } from "node:test";
import { WebSocket } from "ws";
import type { FaultKind, FaultPlan } from "../faults.ts";
import { type AlpacaArguments, type LabAlpaca, startAlpaca, type TradeUpdate } from "./index.ts";
import { call, Client, trade, until } from "./testing/client.ts";

let alpaca: LabAlpaca;
afterEach(async () => alpaca.close());

async function start(faults: Omit<FaultPlan, "seed">, more: Partial<AlpacaArguments> = {}): Promise<void> {
  alpaca = await startAlpaca({ market: "replay", fillMs: 5, faults: { seed: 1, ...faults }, ...more });
  const client = await new Client(alpaca.stream).login(alpaca);
  await client.subscribe({ trades: ["AAPL"] });
  await alpaca.play([trade("AAPL", 100)]);
}

/** How a client sees its order: an HTTP status, "reset" or "timeout". */
async function order(id: string = randomUUID(), patienceMs = 10_000): Promise<string> {
  const body = {
    symbol: "AAPL",
    qty: "1",
    side: "buy",
    type: "market",
    time_in_force: "day",
    client_order_id: id,
  };
  const response = await fetch(`${alpaca.rest}/v2/orders`, {
    method: "POST",
    headers: { "APCA-API-KEY-ID": alpaca.keyId, "APCA-API-SECRET-KEY": alpaca.secret },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(patienceMs),
  }).catch((error: Error) => error);
  return response instanceof Error
    ? response.name === "TimeoutError"
      ? "timeout"
      : "reset"
    : String(response.status);
}

/** Trade updates and how late they came, in milliseconds. */
async function updates(): Promise<(TradeUpdate & { late: number })[]> {
  const received: (TradeUpdate & { late: number })[] = [];
  const socket = new WebSocket(alpaca.updates);
  let listening = false;
  socket.on("message", (data: Buffer) => {
    const message = JSON.parse(data.toString()) as { stream: string; data: TradeUpdate };
    if (message.stream === "trade_updates") {
      received.push({ ...message.data, late: Date.now() - Date.parse(message.data.timestamp) });
    }
    listening ||= message.stream === "listening";
  });
  await new Promise((resolve) => socket.once("open", resolve));
  socket.send(JSON.stringify({ action: "auth", key: alpaca.keyId, secret: alpaca.secret }));
  socket.send(JSON.stringify({ action: "listen", data: { streams: ["trade_updates"] } }));
  await until("the subscription", () => listening || undefined);
  return received;
}

const path = (id: string) => `/v2/orders:by_client_order_id?client_order_id=${id}`;

describe("Alpaca's faults", () => {
  for (const [kind, seen, taken] of [
    ["timeout_after_accept", "timeout", 1],
    ["server_error", "500", 0],
    ["error_after_accept", "500", 1],
    ["rate_limited", "429", 0],
  ] as const satisfies readonly (readonly [FaultKind, string, number])[]) {
    it(`${kind}: the client sees "${seen}", the book has ${taken} order`, async () => {
      await start({ rates: { [kind]: 1 } });
      const id = randomUUID();
      const patienceMs = seen === "timeout" ? 600 : 10_000;
      assert.equal(await order(id, patienceMs), seen);
      await until("the book", () => alpaca.orders().length === taken || undefined);
      assert.equal(alpaca.faultCounts()[kind], 1);
      assert.equal((await call(alpaca, "GET", path(id))).status, taken === 1 ? 200 : 404);
      assert.equal(alpaca.duplicateOrders(), 0);
      await order(id, patienceMs);
      await until("the duplicate", () => alpaca.duplicateOrders() === taken || undefined);
    });
  }

  it("drop_socket: a reset, before the order is taken or after it", async () => {
    await start({ rates: { drop_socket: 1 } });
    const count = 12;
    for (let sent = 0; sent < count; sent++) assert.equal(await order(`order-${sent}`), "reset");
    assert.equal(alpaca.faultCounts().drop_socket, count);
    const taken = alpaca.orders().length;
    assert.ok(taken > 0 && taken < count, `${taken} of ${count} were taken`);
  });

  it("news: twice, late, or never, while the order itself is executed once", async () => {
    await start({ rates: { answer_twice: 1 } });
    let received = await updates();
    assert.equal(await order(), "200");
    await until("all news", () => received.length === 4 || undefined);
    assert.deepEqual(
      received.map(({ event }) => event),
      ["new", "new", "fill", "fill"],
    );
    assert.equal(received[2]?.execution_id, received[3]?.execution_id);
    assert.equal(alpaca.orders().length, 1);
    await alpaca.close();

    await start({ rates: { late_result: 1 }, lateMs: 100 });
    received = await updates();
    await order("late");
    await until("the late news", () => received.length === 2 || undefined);
    assert.ok((received[1]?.late ?? 0) >= 95, `${received[1]?.late} ms late`);
    await alpaca.close();

    await start({ rates: { no_news: 1 } });
    received = await updates();
    await order("silent");
    await until("the fill", () => alpaca.orders()[0]?.status === "filled" || undefined);
    assert.equal(((await call(alpaca, "GET", path("silent"))).body as { status: string }).status, "filled");
    assert.deepEqual([received.length, alpaca.faultCounts().no_news], [0, 1]);
  });

  it("questions fail only where the plan says so", async () => {
    await start({ rates: {}, askRates: { server_error: 1 } });
    assert.equal(await order("asked"), "200");
    assert.equal((await call(alpaca, "GET", path("asked"))).status, 500);
    assert.equal((await call(alpaca, "GET", "/v2/account")).status, 200);
    assert.equal(alpaca.askFaultCounts().server_error, 1);
  });

  it("a stream that broke off lingers, one that was closed does not, and a plan may lack a stream", async () => {
    await start({ rates: {} }, { lingerMs: 1_000, streamRefusals: { sip: 409 } });
    assert.equal(alpaca.breakOff(), 1);
    let refused = 0;
    const deadline = Date.now() + 10_000;
    for (;;) {
      const client = new Client(alpaca.stream);
      await client.message(({ msg }) => msg === "connected");
      client.send({ action: "auth", key: alpaca.keyId, secret: alpaca.secret });
      const answer = await client.message(({ T, msg }) => T === "error" || msg === "authenticated");
      if (answer.msg === "authenticated") {
        client.socket.close();
        await until("the close", () => client.closed || undefined);
        break;
      }
      assert.equal(answer.code, 406);
      refused++;
      assert.ok(Date.now() < deadline, "it lingers for ever");
    }
    assert.ok(refused > 0);
    await new Client(alpaca.stream).login(alpaca);
    const sip = new Client(alpaca.stream.replace("iex", "sip"));
    await sip.message(({ msg }) => msg === "connected");
    sip.send({ action: "auth", key: alpaca.keyId, secret: alpaca.secret });
    await sip.error(409);
    await until("the close", () => sip.closed || undefined);
  });
});
