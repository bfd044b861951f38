import assert from "node:assert/strict";
import { after, test } from "node:test";
import { pino } from "pino";
import { TradingApi, TradingApiError } from "./trading-api.ts";
import { fakeAlpaca, reply, type Answer } from "./testing.ts";

const closing: (() => Promise<void> | void)[] = [];
after(async () => {
  for (const close of closing.reverse()) await close();
});

const never = new AbortController().signal;

async function make(answer: Answer, requestsPerMinute = 1_000) {
  const fake = await fakeAlpaca();
  fake.answer = answer;
  const api = new TradingApi({
    url: `${fake.url}/`,
    keyId: "key",
    secretKey: "secret",
    requestsPerMinute,
    logger: pino({ level: "silent" }),
    answerMs: 1_000,
    backoff: { first: 2, longest: 5 },
  });
  closing.push(() => {
    api.close();
    return fake.close();
  });
  return { fake, api };
}

const shown = (id: string, submitted_at: string) => ({
  id,
  client_order_id: `client-${id}`,
  symbol: "SPY",
  side: "sell",
  status: "new",
  filled_qty: "0",
  submitted_at,
});

test("the account: cash, positions long and short, open orders", async () => {
  const { api } = await make(({ path }, response) => {
    if (path === "/v2/account") return reply(response, 200, { cash: "-12.30", equity: "1" });
    if (path === "/v2/positions") {
      return reply(response, 200, [
        { symbol: "AAPL", qty: "10.5", side: "long" },
        { symbol: "SPY", qty: "-3", side: "short" },
      ]);
    }
    return reply(response, 200, [shown("a", "2025-10-14T13:30:00Z")]);
  });
  assert.deepEqual(await api.account(never), {
    cash: "-12.30",
    positions: [
      { symbol: "AAPL", quantity: "10.5" },
      { symbol: "SPY", quantity: "-3" },
    ],
    open_orders: [{ client_order_id: "client-a", symbol: "SPY", side: "sell" }],
  });
});

test("long lists are read to their end, orders of one millisecond included", async () => {
  // 1,200 orders, ten a millisecond.
  const at = (index: number) => Date.parse("2025-10-14T13:30:00Z") + Math.floor(index / 10);
  const book = Array.from({ length: 1_200 }, (_, index) =>
    shown(String(index), new Date(at(index)).toISOString().replace("Z", "123456Z")),
  );
  const { fake, api } = await make(({ path }, response) => {
    const query = new URL(path, "http://fake").searchParams;
    const after = Date.parse(query.get("after") ?? "");
    const found = book.filter((_, index) => at(index) > after).slice(0, Number(query.get("limit")));
    return reply(response, 200, found);
  });
  const orders = await api.ordersAfter(0, "all", never);
  assert.deepEqual(
    orders.map(({ id }) => id),
    book.map(({ id }) => id),
  );
  assert.equal(fake.requests.length, 3);
});

test("the clock, with the way back taken into account", async () => {
  let timestamp = "";
  const { api } = await make((_request, response) => reply(response, 200, { timestamp, is_open: false }));
  for (const [text, expected] of [
    ["2025-07-03T09:30:00.123456789-04:00", "2025-07-03T13:30:00.123Z"],
    ["2025-07-03T13:30:00.5Z", "2025-07-03T13:30:00.500Z"],
    ["2025-07-03T09:30:00-04:00", "2025-07-03T13:30:00.500Z"],
  ] as const) {
    timestamp = text;
    const begun = performance.now();
    const { now, isOpen } = await api.clock(never);
    assert.equal(isOpen, false);
    const late = now - Date.parse(expected);
    assert.ok(late >= 0 && late <= (performance.now() - begun) / 2 + 1, `${text}: ${late} ms`);
  }
});

test("a report that the venue does not give fails and says what came", async () => {
  const { fake, api } = await make((_request, response) =>
    reply(response, 401, { code: 40110000, message: "request is not authorized" }, { "x-request-id": "r1" }),
  );
  await assert.rejects(
    api.clock(never),
    (error) =>
      error instanceof TradingApiError &&
      /HTTP 401 40110000 request is not authorized \(request r1\).*ALPACA_KEY_ID/.test(error.message),
  );
  assert.equal(fake.requests.length, 4);
  await assert.rejects(api.account(never), TradingApiError);
});

test("after a 429 nothing is asked before the venue's reset", async () => {
  let refusedAt = 0;
  const { fake, api } = await make((_request, response) => {
    if (refusedAt > 0) return reply(response, 200, { timestamp: "2025-07-03T13:30:00Z", is_open: true });
    refusedAt = performance.now();
    return reply(response, 429, { message: "rate limit exceeded" }, { "retry-after": "1" });
  });
  assert.equal((await api.clock(never)).isOpen, true);
  assert.ok(performance.now() - refusedAt > 950);
  assert.equal(fake.requests.length, 2);
});

test("a question that waits ends with its signal", async () => {
  const { api } = await make(() => true);
  const abort = new AbortController();
  const asked = api.orderByClientId("id", abort.signal);
  setTimeout(() => abort.abort(new Error("stop")), 20);
  await assert.rejects(asked, /stop/);
});

test("the question for an order comes on a connection of its own, so that it cannot overtake the order", async () => {
  const ports: (number | undefined)[] = [];
  const { api } = await make(({ path }, response) => {
    ports.push(response.socket?.remotePort);
    return path.startsWith("/v2/orders:by_client_order_id")
      ? reply(response, 200, shown("a", "2025-10-14T13:30:00Z"))
      : reply(response, 200, { timestamp: "2025-10-14T13:30:00Z", is_open: true });
  });
  await api.clock(never);
  await api.clock(never);
  await api.orderByClientId("client-a", never);
  await api.orderByClientId("client-a", never);
  assert.equal(ports.length, 4);
  assert.equal(ports[0], ports[1], "others keep theirs");
  assert.equal(new Set(ports).size, 3);
});
