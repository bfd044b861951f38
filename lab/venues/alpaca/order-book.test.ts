import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { Decimal } from "decimal.js";
import fc from "fast-check";
import { MarketHours, type MarketHoursMode } from "./market-hours.ts";
import { isOpen, type Order, type OrderRequest } from "./order.ts";
import { type ClientOrderIds, OrderBook, type TradeUpdate } from "./order-book.ts";
import { Portfolio } from "./portfolio.ts";
import { Prices } from "./prices.ts";

interface Options {
  at?: string;
  hours?: MarketHoursMode;
  partialFills?: boolean;
  clientOrderIds?: ClientOrderIds;
}

/** A book with its market, account and clock in a test's hands. */
function exchange({ at = "2025-07-02T15:00:00Z", hours = "always", ...options }: Options = {}) {
  const time = { now: Date.parse(at) };
  const prices = new Prices();
  const portfolio = new Portfolio("100000");
  const updates: TradeUpdate[] = [];
  const book = new OrderBook({
    prices,
    portfolio,
    hours: new MarketHours(hours, () => time.now),
    fillMs: 0,
    partialFills: options.partialFills ?? false,
    isTradable: () => true,
    clientOrderIds: options.clientOrderIds ?? "strict",
    onUpdate: (update) => updates.push(update),
  });
  /** A trade of so many shares. */
  const trade = (p: number, s = 100) => {
    prices.learn({ T: "t", S: "AAPL", p, s });
    book.onPrice("AAPL");
  };
  const submit = async (request: Partial<OrderRequest> = {}): Promise<Order> => {
    const { id } = book.submit({
      symbol: "AAPL",
      qty: "10",
      side: "buy",
      type: request.limit_price == null ? "market" : "limit",
      time_in_force: "day",
      ...request,
    });
    const deadline = Date.now() + 5_000;
    while (book.byId(id)?.status === "pending_new" && Date.now() < deadline) await delay(1);
    return order(id);
  };
  const order = (id: string): Order => {
    const found = book.byId(id);
    assert.ok(found);
    return found;
  };
  const setTime = (text: string) => {
    time.now = Date.parse(text);
    book.onTime();
  };
  const events = ({ id }: Order) =>
    updates.filter((update) => update.order.id === id).map(({ event }) => event);
  return { book, prices, portfolio, updates, trade, submit, order, setTime, events };
}

describe("the order book", () => {
  it("fills what is on offer, in parts, and keeps the average", async () => {
    const { trade, submit, updates, events, portfolio, order } = exchange({ partialFills: true });
    trade(100, 4);
    const bought = await submit();
    assert.deepEqual([bought.status, bought.filled_qty], ["partially_filled", "4"]);
    trade(103, 1);
    trade(101, 50);
    assert.deepEqual(events(bought), ["new", "partial_fill", "partial_fill", "fill"]);
    assert.deepEqual(
      updates.slice(1).map(({ qty, price, position_qty }) => [qty, price, position_qty]),
      [
        ["4", "100", "4"],
        ["1", "103", "5"],
        ["5", "101", "10"],
      ],
    );
    assert.equal(order(bought.id).filled_avg_price, "100.8");
    assert.equal(portfolio.cash.toString(), "98992");
    // 45 are left at 101; the next order may have them, and no more.
    assert.equal((await submit({ qty: "60" })).filled_qty, "45");
  });

  it("cancels the rest of an immediate order, and the whole of one that is to be filled or killed", async () => {
    const { trade, submit, events, portfolio } = exchange({ partialFills: true });
    trade(100, 4);
    const killed = await submit({ time_in_force: "fok", limit_price: "101" });
    assert.deepEqual([killed.status, killed.filled_qty], ["canceled", "0"]);
    const immediate = await submit({ time_in_force: "ioc", limit_price: "101" });
    assert.deepEqual([immediate.status, immediate.filled_qty], ["canceled", "4"]);
    assert.deepEqual(events(immediate), ["new", "partial_fill", "canceled"]);
    trade(100, 10);
    assert.equal((await submit({ time_in_force: "fok" })).status, "filled");
    assert.equal(portfolio.quantity("AAPL").toString(), "14");
  });

  it("spends no more than an order in dollars says, also in parts", async () => {
    const { trade, submit, order } = exchange({ partialFills: true });
    trade(30, 2);
    const spent = await submit({ qty: undefined, notional: "100" });
    trade(30, 100);
    assert.deepEqual(
      [order(spent.id).status, order(spent.id).filled_qty, order(spent.id).qty],
      ["filled", "3.333333333", null],
    );
    await assert.rejects(submit({ qty: undefined, notional: "0.5" }), { status: 403 });
  });

  it("replaces a resting order and frees what it claimed", async () => {
    const { book, submit, events, order, trade } = exchange();
    const first = await submit({ qty: "900", limit_price: "100", client_order_id: "a" });
    assert.equal(book.buyingPower.toString(), "10000");
    const second = book.replace(first.id, { limit_price: "110", client_order_id: "b" });
    assert.deepEqual([second.qty, second.limit_price, second.replaces], ["900", "110", first.id]);
    assert.deepEqual([order(first.id).status, order(first.id).replaced_by], ["replaced", second.id]);
    assert.equal(book.buyingPower.toString(), "1000");
    assert.throws(() => book.replace(first.id, { qty: "1" }), { status: 422, message: /"replaced"/ });
    assert.throws(() => book.replace(second.id, { qty: "1" }), { status: 422, message: /"pending_new"/ });
    const deadline = Date.now() + 5_000;
    while (order(second.id).status !== "new" && Date.now() < deadline) await delay(1);
    assert.throws(() => book.replace(second.id, { qty: "1000" }), { status: 403 });
    assert.throws(() => book.replace(second.id, { client_order_id: "a" }), { code: 40010001 });
    assert.throws(() => book.replace(second.id, { stop_price: "1" }), { status: 422 });
    trade(105);
    assert.equal(order(second.id).status, "filled");
    assert.deepEqual(events(first), ["new", "replaced"]);
    assert.throws(() => book.cancel(second.id), { status: 422 });
    assert.throws(() => book.cancel("none"), { status: 404 });
  });

  it("takes the id of a filled order again only where it goes by the documentation", async () => {
    for (const clientOrderIds of ["strict", "documented"] as const) {
      const { book, submit, trade } = exchange({ clientOrderIds });
      trade(100);
      const filled = await submit({ client_order_id: "filled" });
      const { id } = await submit({ client_order_id: "canceled", limit_price: "1" });
      await assert.rejects(submit({ client_order_id: "canceled" }), { code: 40010001 });
      book.cancel(id);
      await assert.rejects(submit({ client_order_id: "canceled" }), { code: 40010001 });
      const again = submit({ client_order_id: "filled" });
      if (clientOrderIds === "strict") await assert.rejects(again, { code: 40010001 });
      else assert.equal(book.byClientId("filled")?.id, (await again).id);
      const filledTwice = book.orders.filter(({ client_order_id: name }) => name === "filled");
      assert.equal(filledTwice.length, clientOrderIds === "strict" ? 1 : 2);
      assert.equal(filledTwice[0]?.id, filled.id);
      assert.equal(book.duplicates, 3);
    }
  });

  it("never owes money or shares, and its positions are the sum of its fills", async () => {
    const step = fc.record({
      side: fc.constantFrom("buy" as const, "sell" as const),
      qty: fc.integer({ min: 1, max: 400 }).map(String),
      price: fc.integer({ min: 90, max: 110 }),
      size: fc.integer({ min: 0, max: 300 }),
      time_in_force: fc.constantFrom("day" as const, "ioc" as const, "fok" as const),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
        const { book, portfolio, submit, trade, updates } = exchange({ partialFills: true });
        for (const { price, size, ...request } of steps) {
          trade(price, size);
          await submit({ ...request, limit_price: "100" }).catch((error: { status?: number }) =>
            assert.equal(error.status, 403),
          );
        }
        const fills = updates.filter(({ qty }) => qty !== undefined);
        const total = (of: (update: TradeUpdate) => Decimal) => Decimal.sum(0, ...fills.map(of));
        const signed = ({ order, qty = "0" }: TradeUpdate) =>
          new Decimal(order.side === "buy" ? qty : `-${qty}`);
        assert.ok(portfolio.quantity("AAPL").eq(total(signed)) && portfolio.quantity("AAPL").gte(0));
        assert.ok(
          portfolio.cash.eq(
            total((fill) =>
              signed(fill)
                .times(fill.price ?? 0)
                .neg(),
            ).plus(100_000),
          ),
        );
        assert.ok(portfolio.cash.gte(0) && book.buyingPower.gte(0));
        for (const { qty, filled_qty, status } of book.orders)
          assert.equal(new Decimal(filled_qty).eq(qty ?? 0), status === "filled");
      }),
      { numRuns: 25 },
    );
  });
});

describe("the exchange's hours", () => {
  const hours = (text: string, mode: MarketHoursMode = "calendar") =>
    new MarketHours(mode, () => Date.parse(text));

  it("open and close by the calendar, on short days and over weekends too", () => {
    assert.deepEqual(hours("2025-07-03T13:29:59.999Z").clock(), {
      timestamp: "2025-07-03T09:29:59-04:00",
      is_open: false,
      next_open: "2025-07-03T09:30:00-04:00",
      next_close: "2025-07-03T13:00:00-04:00",
    });
    assert.deepEqual(hours("2025-07-03T13:30:00Z").clock(), {
      timestamp: "2025-07-03T09:30:00-04:00",
      is_open: true,
      next_open: "2025-07-07T09:30:00-04:00",
      next_close: "2025-07-03T13:00:00-04:00",
    });
    const closed = hours("2025-07-03T17:00:00Z");
    assert.deepEqual(
      [closed.clock().is_open, closed.clock().next_close],
      [false, "2025-07-07T16:00:00-04:00"],
    );
    assert.deepEqual([closed.isOpen(true), hours("2025-07-03T21:00:00Z").isOpen(true)], [true, false]);
    assert.equal(hours("2030-12-31T15:00:00Z").clock().is_open, true);
    assert.equal(hours("2025-07-06T15:00:00Z", "always").clock().is_open, true);
    assert.equal(hours("2025-07-06T15:00:00Z", "always").dayEnd(false), undefined);
  });

  it("end day orders at the close and let those of the night wait for the opening", async () => {
    const { submit, trade, setTime, order, events } = exchange({
      hours: "calendar",
      at: "2025-07-03T16:00:00Z",
    });
    trade(100);
    const [day, lasting, extended] = [
      await submit({ limit_price: "90" }),
      await submit({ limit_price: "90", time_in_force: "gtc" }),
      await submit({ limit_price: "90", extended_hours: true }),
    ];
    assert.equal(day.expires_at, "2025-07-03T17:00:00.000Z");
    setTime("2025-07-03T17:00:00Z");
    assert.deepEqual([order(day.id).status, events(day).at(-1)], ["expired", "expired"]);
    trade(80);
    assert.deepEqual([order(lasting.id).status, order(extended.id).status], ["new", "filled"]);
    const night = await submit();
    assert.equal(night.status, "accepted");
    assert.equal((await submit({ time_in_force: "ioc" })).status, "canceled");
    setTime("2025-07-07T13:30:00Z");
    trade(80);
    assert.deepEqual([order(night.id).status, order(lasting.id).status], ["filled", "filled"]);
    assert.deepEqual(events(night), ["accepted", "new", "fill"]);
    assert.ok(!isOpen(order(night.id)));
  });
});
