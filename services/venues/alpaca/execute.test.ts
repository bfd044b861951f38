import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { after, test } from "node:test";
import {
  RefusedCommandError,
  type MayStillSend,
  type ReportedFill,
  type Submission,
} from "../../core/execution-venue.ts";
import type { ExecuteTrade, PlaceOrder } from "../../core/trading.ts";
import { testContext, until } from "../../core/testing.ts";
import { AlpacaVenue, type AlpacaVenueOptions } from "./execute.ts";
import { drop, fakeAlpaca, reply, type Answer, type FakeAlpaca } from "./testing.ts";

const closing: (() => Promise<void> | void)[] = [];
after(async () => {
  for (const close of closing.reverse()) await close();
});

const never = new AbortController().signal;

function command(deadlineMs = 60_000, order: Partial<PlaceOrder> = {}): ExecuteTrade {
  const id = randomUUID();
  return {
    command_id: id,
    idempotency_key: id,
    strategy: "test",
    venue: "alpaca",
    deadline: new Date(Date.now() + deadlineMs).toISOString(),
    limits: { max_notional: "10000" },
    instruction: {
      kind: "place_order",
      symbol: "AAPL",
      side: "buy",
      quantity: "10",
      order_type: "limit",
      limit_price: "126.550",
      time_in_force: "day",
      ...order,
    },
  };
}

/** A venue against a fake one that answers as `answer` says; it listens to trade updates already. */
async function make(
  answer: Answer = () => false,
  options: Partial<AlpacaVenueOptions> = {},
  listens = options.updatesUrl === undefined,
) {
  const fake = await fakeAlpaca();
  fake.answer = answer;
  const context = testContext();
  const venue = new AlpacaVenue({
    restUrl: fake.url,
    updatesUrl: fake.updatesUrl,
    keyId: "key",
    secretKey: "secret",
    requestsPerMinute: 10_000,
    context,
    graceMs: 150,
    ...options,
  });
  const fills: ReportedFill[] = [];
  venue.onFill((fill) => fills.push(fill));
  closing.push(() => venue.close().then(() => fake.close()));
  if (listens) {
    await until("listening, and caught up", () => fake.seen("GET", "/v2/orders?").length > 0);
  }
  return { fake, venue, context, fills };
}

/** Submits and settles a command, as the executor does. */
async function execute(
  venue: AlpacaVenue,
  given: ExecuteTrade,
  mayStillSend: MayStillSend = () => undefined,
) {
  const order = venue.prepare(given);
  const submission = await order.submit(mayStillSend);
  const settled = (missed = submission.outcome === "unknown") =>
    venue.settle(given, order.reference, missed, never);
  return { submission, settled, reference: order.reference };
}

const takes = (fake: FakeAlpaca, given: ExecuteTrade) => fake.orders.get(given.command_id);
const outcomeOf = (submission: Submission) =>
  "reason" in submission ? `${submission.outcome} ${submission.reason.code}` : submission.outcome;

test("an order carries the command's id and the decimals as text, and settles by the stream's word", async () => {
  for (const binary of [true, false]) {
    const { fake, venue, fills } = await make();
    const given = command();
    const { submission, settled, reference } = await execute(venue, given);
    assert.deepEqual(submission, { outcome: "accepted" });
    assert.deepEqual(reference, { client_order_id: given.command_id });
    const [posted] = fake.seen("POST");
    assert.deepEqual(posted?.body, {
      symbol: "AAPL",
      qty: "10",
      side: "buy",
      type: "limit",
      time_in_force: "day",
      limit_price: "126.550",
      client_order_id: given.command_id,
    });
    assert.equal(posted?.headers["apca-api-key-id"], "key");
    const settlement = settled();
    fake.update(given.command_id, "new", { status: "new" }, binary);
    fake.update(
      given.command_id,
      "partial_fill",
      { status: "partially_filled", filled_qty: "4", filled_avg_price: "126.50" },
      binary,
    );
    fake.update(
      given.command_id,
      "fill",
      { status: "filled", filled_qty: "10", filled_avg_price: "126.512" },
      binary,
    );
    assert.deepEqual(await settlement, {
      status: "FILLED",
      filled: { kind: "order", quantity: "10", average_price: "126.512" },
      reference: { order_id: `venue-${given.command_id}` },
    });
    assert.deepEqual(
      fills.map(({ orderId, filled }) => [orderId, filled.kind === "order" && filled.quantity]),
      [
        [given.command_id, "4"],
        [given.command_id, "10"],
      ],
      "each report says what is filled so far",
    );
    assert.deepEqual(fake.seen("GET", "/v2/orders:by"), [], "nothing had to be asked");
    assert.deepEqual(fake.actions, [
      { action: "auth", key: "key", secret: "secret" },
      { action: "listen", data: { streams: ["trade_updates"] } },
    ]);
  }
});

test("updates that come before the answer, twice, or late are neither lost nor counted twice", async () => {
  const { fake, venue, fills } = await make((request, response) => {
    if (request.method !== "POST") return false;
    const id = String(request.body?.["client_order_id"]);
    const shown = {
      id: "v",
      client_order_id: id,
      symbol: "AAPL",
      side: "buy",
      filled_qty: "0",
      status: "new",
    };
    fake.orders.set(id, shown);
    const filled = { status: "filled", filled_qty: "10", filled_avg_price: "1" };
    fake.update(id, "fill", filled);
    fake.update(id, "fill", filled);
    void until("the update has come", () => fills.length > 0).then(() =>
      reply(response, 200, { ...shown, status: "pending_new", filled_qty: "0" }),
    );
    return true;
  });
  const given = command();
  const { submission, settled } = await execute(venue, given);
  assert.equal(submission.outcome, "accepted");
  assert.equal((await settled()).status, "FILLED");
  assert.equal(fills.length, 1);
  // Afterwards nobody waits for it; a correction of the venue's is still reported.
  fake.update(given.command_id, "fill", { filled_qty: "12" });
  await until("a late fill", () => fills.length === 2);
});

test("whatever is answered, an order is sent once, and an order that may exist is never called refused", async () => {
  const cases: [string, string, Answer][] = [
    ["timeout after it was taken", "unknown no_answer", () => true],
    ["reset", "unknown no_answer", (_request, response) => drop(response)],
    [
      "an answer that breaks off",
      "unknown no_answer",
      (_request, response) => {
        response.writeHead(200, { "content-length": "1000" });
        response.write('{"id":');
        setTimeout(() => response.destroy(), 10);
        return true;
      },
    ],
    ["500", "unknown venue_error", (_request, response) => reply(response, 500, "oops")],
    ["504", "unknown venue_error", (_request, response) => reply(response, 504)],
    ["408", "unknown venue_error", (_request, response) => reply(response, 408)],
    [
      "307, which is not followed",
      "unknown venue_error",
      (_request, response) => reply(response, 307, undefined, { location: "/v2/orders" }),
    ],
    ["421", "unknown venue_error", (_request, response) => reply(response, 421)],
    [
      "429",
      "unknown rate_limited",
      (_request, response) => reply(response, 429, { message: "rate limit exceeded" }),
    ],
    [
      "200 without an order",
      "unknown unexpected_answer",
      (_request, response) => reply(response, 200, "<html>"),
    ],
    [
      "200 with another order",
      "unknown unexpected_answer",
      (_request, response) =>
        reply(response, 200, {
          id: "x",
          client_order_id: "y",
          symbol: "A",
          side: "buy",
          status: "new",
          filled_qty: "0",
        }),
    ],
    [
      "a duplicate id",
      "unknown duplicate_client_order_id",
      (_request, response) =>
        reply(response, 422, { code: 40010001, message: "client_order_id must be unique" }),
    ],
    [
      "no money",
      "rejected insufficient_buying_power",
      (_request, response) => reply(response, 403, { code: 40310000, message: "insufficient buying power" }),
    ],
    [
      "a bad parameter",
      "rejected invalid_order",
      (_request, response) => reply(response, 422, { code: 40010001, message: "qty must be > 0" }),
    ],
    [
      "no such asset",
      "rejected unknown_symbol",
      (_request, response) => reply(response, 422, { code: 42210000, message: 'asset "Q" not found' }),
    ],
    [
      "a wrong key",
      "rejected unauthorized",
      (_request, response) => reply(response, 401, { message: "unauthorized" }),
    ],
  ];
  for (const [name, expected, answer] of cases) {
    const { fake, venue } = await make(
      (request, response) => (request.method === "POST" ? answer(request, response) : false),
      name.startsWith("timeout") ? { answerMs: 300 } : {},
    );
    const { submission } = await execute(venue, command());
    assert.equal(outcomeOf(submission), expected, name);
    assert.equal(fake.seen("POST").length, 1, name);
    await venue.close();
    await fake.close();
  }
});

test("an unknown outcome is settled by asking: taken after all, or not there once that is certain", async () => {
  let isTaken = true;
  const { fake, venue } = await make((request, response) => {
    if (request.method !== "POST") return false;
    if (isTaken) {
      const id = String(request.body?.["client_order_id"]);
      fake.orders.set(id, {
        id: "v",
        client_order_id: id,
        symbol: "AAPL",
        side: "buy",
        status: "filled",
        filled_qty: "10",
        filled_avg_price: "126.5",
      });
    }
    return reply(response, 503);
  });
  const taken = await execute(venue, command());
  assert.equal(taken.submission.outcome, "unknown");
  assert.equal((await taken.settled()).status, "FILLED");

  isTaken = false;
  const given = command(2_000);
  const lost = await execute(venue, given);
  assert.equal(lost.submission.outcome, "unknown");
  const settlement = await lost.settled();
  assert.ok(Date.now() >= Date.parse(given.deadline) + 150, "not before the deadline and the grace time");
  assert.deepEqual(settlement, {
    status: "EXPIRED",
    reason: { code: "not_found", message: settlement.reason?.message },
    filled: { kind: "order", quantity: "0" },
    reference: {},
  });
  assert.equal(fake.seen("POST").length, 2);
});

test("only the venue's own words mean that an order is not there", async () => {
  let answers = 0;
  const { fake, venue } = await make((request, response) => {
    if (!request.path.startsWith("/v2/orders:by")) return false;
    answers += 1;
    // A proxy's 404, a broken answer, a reset; then the order.
    if (answers === 1) return reply(response, 404, "<html>not found</html>");
    if (answers === 2) return reply(response, 200, { id: "something else" });
    return answers === 3 ? drop(response) : false;
  });
  const given = command(-10_000);
  fake.orders.set(given.command_id, {
    id: "v",
    client_order_id: given.command_id,
    symbol: "AAPL",
    side: "buy",
    status: "filled",
    filled_qty: "10",
    filled_avg_price: "1",
  });
  const settlement = await venue.settle(given, venue.prepare(given).reference, true, never);
  assert.equal(settlement.status, "FILLED");
  assert.equal(answers, 4);
});

test("a connection that does not open means: not sent", async () => {
  const closed = createServer();
  await new Promise<void>((resolve) => closed.listen(0, "127.0.0.1", resolve));
  const { port } = closed.address() as AddressInfo;
  await new Promise((resolve) => closed.close(resolve));
  for (const restUrl of [
    `http://127.0.0.1:${port}`,
    `https://127.0.0.1:${port}`,
    "http://no-such-host.invalid",
  ]) {
    const { venue } = await make(undefined, {
      restUrl,
      updatesUrl: `ws://127.0.0.1:${port}`,
      answerMs: 2_000,
    });
    const { submission } = await execute(venue, command());
    assert.equal(outcomeOf(submission), "not_sent venue_unreachable", restUrl);
    await venue.close();
  }
});

test("a TLS handshake that never ends means: not sent", async () => {
  const silent = createServer((socket) => socket.on("error", () => undefined));
  await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
  closing.push(() => void silent.close());
  const { port } = silent.address() as AddressInfo;
  const restUrl = `https://127.0.0.1:${port}`;
  const { venue } = await make(undefined, { restUrl, updatesUrl: "ws://127.0.0.1:1", answerMs: 100 });
  const { submission } = await execute(venue, command());
  assert.equal(outcomeOf(submission), "not_sent venue_unreachable");
  await venue.close();
});

test("after its deadline nothing is sent", async () => {
  const { fake, venue } = await make();
  const { submission } = await execute(venue, command(-1));
  assert.equal(submission.outcome, "not_sent");
  assert.deepEqual(fake.seen("POST"), []);
});

test("without room in the budget before the deadline the order is not sent", async () => {
  const { fake, venue } = await make(undefined, { requestsPerMinute: 2 });
  assert.equal((await execute(venue, command())).submission.outcome, "accepted");
  const { submission } = await execute(venue, command(5_000));
  assert.equal(outcomeOf(submission), "not_sent rate_limited");
  assert.equal(fake.seen("POST").length, 1);
});

test("what stops trading while an order waits to be sent keeps it here", async () => {
  const refused = (response: Parameters<Answer>[1]) => reply(response, 429, {}, { "retry-after": "1" });
  const { fake, venue } = await make((request, response) => request.method === "POST" && refused(response));
  const reason = { code: "kill_switch", message: "stopped" };
  assert.equal((await execute(venue, command())).submission.outcome, "unknown");
  // The refusal lets nothing be sent for a second; trading is stopped meanwhile.
  let isStopped = false;
  const waiting = execute(venue, command(), () => (isStopped ? reason : undefined));
  isStopped = true;
  assert.deepEqual((await waiting).submission, { outcome: "not_sent", reason });
  // Stopped after the budget has granted it: it is asked again when the connection stands.
  let asked = 0;
  const { submission } = await execute(venue, command(), () => (asked++ === 0 ? undefined : reason));
  assert.deepEqual(submission, { outcome: "not_sent", reason });
  assert.equal(asked, 2);
  assert.equal(fake.seen("POST").length, 1);
});

test("an order that is canceled while it is being sent is canceled as soon as it is there", async () => {
  let answer: () => void = () => undefined;
  const { fake, venue } = await make((request, response) => {
    if (request.method !== "POST") return false;
    const id = String(request.body?.["client_order_id"]);
    const shown = {
      id: "v",
      client_order_id: id,
      symbol: "AAPL",
      side: "buy",
      filled_qty: "0",
      status: "new",
    };
    answer = () => {
      fake.orders.set(id, shown);
      reply(response, 200, shown);
    };
    return true;
  });
  const given = command();
  const executed = execute(venue, given);
  await until("the order is on its way", () => fake.seen("POST").length === 1);
  await venue.cancel(given);
  answer();
  const { settled } = await executed;
  const { status, reason } = await settled();
  assert.deepEqual([status, reason?.code], ["CANCELED", "canceled"]);
  assert.equal(fake.seen("DELETE").length, 1);
});

test("a fill that nobody waited for is reported again: whose order it is may be known only later", async () => {
  const { fake, venue, fills } = await make(undefined, { repeatMs: 50 });
  const waitedFor = command();
  const { settled } = await execute(venue, waitedFor);
  const filled = { status: "filled", filled_qty: "10", filled_avg_price: "126.5" };
  fake.update(waitedFor.command_id, "fill", filled);
  await settled();
  const { command_id } = command();
  fake.orders.set(command_id, {
    id: "v",
    client_order_id: command_id,
    symbol: "AAPL",
    side: "buy",
    status: "new",
  });
  fake.update(command_id, "fill", filled);
  const reports = (id: string) => fills.filter(({ orderId }) => orderId === id);
  await until("reported three times", () => reports(command_id).length >= 3);
  assert.deepEqual(reports(command_id)[2], reports(command_id)[0]);
  assert.equal(reports(waitedFor.command_id).length, 1, "its command's result says it");
});

test("an order that rests is canceled at the deadline and keeps what was filled", async () => {
  const { fake, venue } = await make();
  const given = command(2_000);
  const { settled } = await execute(venue, given);
  const settlement = settled();
  fake.update(given.command_id, "partial_fill", {
    status: "partially_filled",
    filled_qty: "3",
    filled_avg_price: "126.5",
  });
  const { status, reason, filled } = await settlement;
  assert.ok(Date.now() >= Date.parse(given.deadline));
  assert.deepEqual([status, reason?.code], ["CANCELED", "deadline_passed"]);
  assert.deepEqual(filled, { kind: "order", quantity: "3", average_price: "126.5" });
  assert.equal(fake.seen("DELETE").length, 1);
});

test("a fill that wins against the cancellation counts", async () => {
  const { fake, venue } = await make((request, response) => {
    if (request.method !== "DELETE") return false;
    const [order] = fake.orders.values();
    Object.assign(order ?? {}, { status: "filled", filled_qty: "10", filled_avg_price: "126.5" });
    return reply(response, 422, { code: 42210000, message: 'order is already in "filled" state' });
  });
  const { settled } = await execute(venue, command(2_000));
  assert.deepEqual((await settled()).filled, { kind: "order", quantity: "10", average_price: "126.5" });
});

test("a lost cancellation is repeated until the order has ended", async () => {
  let cancellations = 0;
  const { venue } = await make((request, response) => {
    if (request.method !== "DELETE") return false;
    cancellations += 1;
    return cancellations > 1 ? false : reply(response, 500);
  });
  const { settled } = await execute(venue, command(2_000));
  assert.equal((await settled()).status, "CANCELED");
  assert.equal(cancellations, 2);
});

test("cancel() ends an open order, with or without somebody waiting, and is quiet about others", async () => {
  const { fake, venue } = await make();
  const given = command();
  const { settled, reference } = await execute(venue, given);
  const settlement = settled();
  await venue.cancel(given);
  const { status, reason } = await settlement;
  assert.deepEqual([status, reason?.code], ["CANCELED", "canceled"]);
  await venue.cancel(given);
  assert.equal(fake.seen("DELETE").length, 1, "an ended order is left alone");

  const other = command();
  await execute(venue, other);
  await venue.cancel(other);
  assert.equal(takes(fake, other)?.status, "canceled");
  assert.deepEqual(reference, { client_order_id: given.command_id });
  await venue.cancel(command());
});

test("states of an order: which end a command, and how", async () => {
  const { fake, venue } = await make();
  const cases: [Record<string, string>, string, string | undefined][] = [
    [{ status: "expired", filled_qty: "2", filled_avg_price: "1" }, "EXPIRED", "expired"],
    [{ status: "rejected" }, "REJECTED", "rejected_later"],
    [{ status: "replaced", replaced_by: "other" }, "CANCELED", "replaced"],
    [{ status: "canceled" }, "CANCELED", "canceled"],
    [{ status: "done_for_day", filled_qty: "1", filled_avg_price: "1" }, "EXPIRED", "done_for_day"],
    [{ status: "done_for_day", filled_qty: "10", filled_avg_price: "1" }, "FILLED", undefined],
  ];
  for (const [change, expected, code] of cases) {
    const given = command();
    const { settled } = await execute(venue, given);
    const settlement = settled();
    for (const open of [
      "pending_new",
      "accepted",
      "new",
      "stopped",
      "suspended",
      "calculated",
      "brand_new",
    ]) {
      fake.update(given.command_id, open, { status: open });
    }
    fake.update(given.command_id, "some event", change);
    const { status, reason, filled } = await settlement;
    assert.deepEqual([status, reason?.code], [expected, code]);
    assert.equal(filled.kind === "order" && filled.quantity, change["filled_qty"] ?? "0");
  }
});

test("after a reconnection one list tells what was missed, and the rest is asked for", async () => {
  const { fake, venue } = await make();
  fake.answer = (request, response) => {
    // The venue's list does not show the second order.
    if (!request.path.startsWith("/v2/orders?")) return false;
    return reply(response, 200, [...fake.orders.values()].slice(0, 1));
  };
  const [first, second] = [command(), command()];
  const settlements = [await execute(venue, first), await execute(venue, second)].map(({ settled }) =>
    settled(),
  );
  const [socket] = fake.listening;
  socket?.terminate();
  await until("the stream is gone", () => fake.listening[0] !== socket);
  for (const { command_id } of [first, second]) {
    const filled = { status: "filled", filled_qty: "10", filled_avg_price: "126.5" };
    Object.assign(fake.orders.get(command_id) ?? {}, filled);
  }
  for (const settlement of settlements) assert.equal((await settlement).status, "FILLED");
  const asked = fake.seen("GET", "/v2/orders:by").map(({ path }) => path.split("=")[1]);
  assert.ok(asked.includes(second.command_id));
});

test("an update that cannot be read makes the open orders be asked for", async () => {
  const { fake, venue } = await make();
  const given = command();
  const { settled } = await execute(venue, given);
  const settlement = settled();
  Object.assign(fake.orders.get(given.command_id) ?? {}, {
    status: "filled",
    filled_qty: "10",
    filled_avg_price: "126.5",
  });
  const lists = fake.seen("GET", "/v2/orders?").length;
  fake.listening[0]?.send('{"stream":"news","data":{}}');
  fake.listening[0]?.send("{broken");
  assert.equal((await settlement).status, "FILLED");
  assert.equal(
    fake.seen("GET", "/v2/orders?").length,
    lists + 1,
    "messages of other streams are none of ours",
  );
});

test("when no update comes, the venue is asked", async () => {
  const { fake, venue } = await make();
  const given = command();
  const { settled } = await execute(venue, given);
  const settlement = settled();
  Object.assign(fake.orders.get(given.command_id) ?? {}, {
    status: "filled",
    filled_qty: "10",
    filled_avg_price: "126.5",
  });
  assert.equal((await settlement).status, "FILLED");
});

test("an aborted wait leaves the end open", async () => {
  const { venue, fake } = await make();
  const given = command();
  const { reference } = await execute(venue, given);
  for (const missed of [true, false]) {
    const abort = new AbortController();
    const settlement = venue.settle(given, reference, missed, abort.signal);
    abort.abort();
    await assert.rejects(settlement);
  }
  assert.equal(takes(fake, given)?.status, "pending_new");
});

test("a wrong key on the stream is fatal and says what to check", async () => {
  const { context } = await make(undefined, { keyId: "other" }, false);
  await until("fatal", () => context.fatals.length > 0);
  assert.match(String(context.fatals[0]), /unauthorized.*ALPACA_KEY_ID/);
});

test("what is no order, and what is at stake", async () => {
  const { venue } = await make(undefined, { updatesUrl: "ws://127.0.0.1:1" });
  const canary = { ...command(), instruction: { kind: "canary" as const, canary_id: randomUUID() } };
  assert.throws(
    () => venue.prepare(canary),
    (error) => error instanceof RefusedCommandError && error.reason.code === "unsupported_instruction",
  );
  const stake = (order: Partial<PlaceOrder>) => venue.prepare(command(1_000, order)).notional;
  assert.equal(stake({}), "1265.5");
  const market = { order_type: "market", limit_price: undefined } as const;
  assert.equal(stake({ ...market }), undefined);
  assert.equal(stake({ ...market, reference_price: "2.5" }), "25");
  assert.equal(stake({ ...market, quantity: undefined, notional: "99.50" }), "99.50");
  const stop = { order_type: "stop", limit_price: undefined, stop_price: "3" } as const;
  assert.equal(stake({ ...stop }), "30");
  assert.equal(stake({ ...stop, reference_price: "4" }), "40");
});
