/** The executor's Alpaca against the lab's, over real sockets, with everything going wrong that the lab knows. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { type LabAlpaca, startAlpaca } from "../lab/venues/alpaca/index.ts";
import type { Settlement } from "../services/core/execution-venue.ts";
import { derivedEventId } from "../services/core/ids.ts";
import type { ExecuteTrade, PlaceOrder } from "../services/core/trading.ts";
import { testContext, until } from "../services/core/testing.ts";
import { AlpacaVenue } from "../services/venues/alpaca/execute.ts";

const closing: (() => Promise<void>)[] = [];
after(async () => {
  for (const close of closing.reverse()) await close();
});

const session = "2ed6657d-e927-568b-95e1-2665a8aea6a2";

function command(index: number, deadlineMs: number, order: Partial<PlaceOrder> = {}): ExecuteTrade {
  const id = derivedEventId("test", session, String(index));
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
      quantity: "1",
      order_type: "market",
      time_in_force: "day",
      ...order,
    },
  };
}

function open(lab: LabAlpaca): AlpacaVenue {
  const venue = new AlpacaVenue({
    restUrl: lab.rest,
    updatesUrl: lab.updates,
    keyId: lab.keyId,
    secretKey: lab.secret,
    requestsPerMinute: 100_000,
    context: testContext(),
    graceMs: 500,
    answerMs: 600,
  });
  closing.push(() => venue.close());
  return venue;
}

/** What of a command the venue's book shows, as a settlement would say it. */
function inBook(lab: LabAlpaca, { command_id }: ExecuteTrade): string {
  const orders = lab.orders().filter((order) => order.client_order_id === command_id);
  assert.ok(orders.length <= 1, `${command_id} is in the book ${orders.length} times`);
  return orders[0] === undefined ? "nothing" : `${orders[0].status} ${orders[0].filled_qty}`;
}

function said({ status, filled }: Settlement): string {
  assert.equal(filled.kind, "order");
  const quantity = filled.kind === "order" ? filled.quantity : "";
  if (status === "EXPIRED") return "nothing";
  return `${status.toLowerCase()} ${quantity}`;
}

test("with every fault, each command ends as the venue's book has it, and no order is there twice", async () => {
  const each = 0.12;
  const lab = await startAlpaca({
    market: "simulated",
    cash: "10000000",
    requestsPerMinute: 100_000,
    clientOrderIds: "documented",
    faults: {
      seed: 7,
      rates: {
        timeout_after_accept: each,
        server_error: each,
        error_after_accept: each,
        rate_limited: 0.02,
        drop_socket: each,
        answer_twice: each,
        late_result: each,
        no_news: each,
      },
      askRates: { timeout: 0.02, server_error: 0.1, drop_socket: 0.1 },
      lateMs: 300,
    },
  });
  closing.push(() => lab.close());
  const venue = open(lab);
  const fills = new Map<string, string>();
  venue.onFill(({ orderId, filled }) => {
    assert.equal(filled.kind, "order");
    if (filled.kind === "order") fills.set(orderId, filled.quantity);
  });
  assert.equal((await venue.clock?.())?.isOpen, true);
  const commands = Array.from({ length: 60 }, (_, index) => command(index, 5_000));
  const broken = until("half of them are there", () => lab.orders().length > 25).then(() => lab.breakOff());
  const settlements = await Promise.all(
    commands.map(async (given) => {
      const order = venue.prepare(given);
      const submission = await order.submit(() => undefined);
      if (submission.outcome === "rejected" || submission.outcome === "not_sent") return submission.outcome;
      return venue.settle(
        given,
        order.reference,
        submission.outcome === "unknown",
        new AbortController().signal,
      );
    }),
  );
  assert.ok((await broken) > 0, "the stream of updates was broken off once");
  let filled = 0;
  for (const [index, given] of commands.entries()) {
    const settlement = settlements[index] as Settlement | string;
    const expected = inBook(lab, given);
    assert.equal(typeof settlement === "string" ? "nothing" : said(settlement), expected, given.command_id);
    if (expected !== "filled 1") continue;
    filled += 1;
    assert.equal(fills.get(given.command_id), "1");
  }
  assert.equal(lab.duplicateOrders(), 0);
  assert.ok(filled > 30 && filled < 60, `${filled} filled`);
  const counts = lab.faultCounts();
  assert.ok(
    Object.values(counts).every((count) => count > 0),
    `every fault has happened: ${JSON.stringify(counts)}`,
  );
  const account = await venue.account?.();
  assert.deepEqual(account?.positions, [{ symbol: "AAPL", quantity: String(filled) }]);
  assert.deepEqual(account?.open_orders, []);
});

test("a resting order is canceled at its deadline; a successor settles what its predecessor sent", async () => {
  const lab = await startAlpaca({ market: "simulated", requestsPerMinute: 100_000 });
  closing.push(() => lab.close());
  const venue = open(lab);
  const resting = command(1, 2_000, { order_type: "limit", limit_price: "0.01" });
  const order = venue.prepare(resting);
  assert.deepEqual(await order.submit(() => undefined), { outcome: "accepted" });
  const account = await venue.account?.();
  assert.deepEqual(
    account?.open_orders.map(({ client_order_id }) => client_order_id),
    [resting.command_id],
  );
  await venue.close();
  const successor = open(lab);
  const settlement = await successor.settle(resting, order.reference, true, new AbortController().signal);
  assert.deepEqual([settlement.status, settlement.reason?.code], ["CANCELED", "deadline_passed"]);
  assert.equal(inBook(lab, resting), "canceled 0");
});
