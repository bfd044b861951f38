import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { add, subtract } from "../core/decimal.ts";
import { derivedEventId } from "../core/ids.ts";
import type { AccountSnapshot, ExecuteTrade, TerminalStatus } from "../core/trading.ts";
import { acceptedBaseline, Books, differences, Fills, withoutFills } from "./account.ts";

const at = "2025-10-14T13:30:00.000Z";
let serial = 0;

function order(symbol: string, side: "buy" | "sell", quantity: string | undefined): ExecuteTrade {
  serial += 1;
  const id = derivedEventId("cmd.execute_trade", String(serial));
  return {
    command_id: id,
    idempotency_key: id,
    strategy: "s",
    venue: "alpaca",
    deadline: at,
    limits: { max_notional: "1000" },
    instruction: {
      kind: "place_order",
      symbol,
      side,
      order_type: "market",
      time_in_force: "day",
      ...(quantity === undefined ? { notional: "100" } : { quantity }),
    },
  };
}

function take(
  books: Books,
  command: ExecuteTrade,
  quantity: string,
  status: TerminalStatus = "FILLED",
): void {
  const { command_id, idempotency_key, strategy } = command;
  const result = {
    command_id,
    idempotency_key,
    strategy,
    status,
    filled: { kind: "order" as const, quantity },
    reference: {},
    completed_at: at,
  };
  books.take({ command, result }, { client_order_id: command_id });
}

function open(command: ExecuteTrade) {
  return { command, reference: { client_order_id: command.command_id } };
}

const account = (positions: Record<string, string>, openOrders: string[] = []): AccountSnapshot => ({
  cash: "0",
  positions: Object.entries(positions).map(([symbol, quantity]) => ({ symbol, quantity })),
  open_orders: openOrders.map((client_order_id) => ({ client_order_id, symbol: "AAPL", side: "buy" })),
});

test("baseline and fills give what the account must hold, whatever the orders were", () => {
  const fill = fc.record({
    symbol: fc.constantFrom("AAPL", "MSFT"),
    side: fc.constantFrom("buy" as const, "sell" as const),
    cents: fc.integer({ min: 1, max: 10_000 }),
  });
  fc.assert(
    fc.property(
      fc.array(fill),
      fc.constantFrom("AAPL", "MSFT"),
      fc.integer({ min: -5, max: 5 }),
      (fills, wrong, by) => {
        const books = new Books();
        const held: Record<string, string> = { AAPL: "7.5", MSFT: "0" };
        for (const { symbol, side, cents } of fills) {
          const quantity = `${Math.floor(cents / 100)}.${String(cents % 100).padStart(2, "0")}`;
          take(books, order(symbol, side, quantity), quantity, "CANCELED");
          held[symbol] = (side === "buy" ? add : subtract)(held[symbol] ?? "0", quantity);
        }
        const baseline = account({ AAPL: "7.5" });
        held[wrong] = add(held[wrong] ?? "0", String(by));
        const found = differences(baseline, books, [], account(held));
        assert.deepEqual(
          found.map((text) => text.split(":")[0]),
          by === 0 ? [] : [`position ${wrong}`],
        );
      },
    ),
  );
});

test("an order under way may be in the account or not, but no more than its quantity", () => {
  const books = new Books();
  const pending = [open(order("AAPL", "buy", "5")), open(order("AAPL", "sell", "2"))];
  for (const quantity of ["8", "10", "13", "15"]) {
    assert.deepEqual(differences(account({ AAPL: "10" }), books, pending, account({ AAPL: quantity })), []);
  }
  for (const quantity of ["7.99", "15.01"]) {
    const [text, ...others] = differences(
      account({ AAPL: "10" }),
      books,
      pending,
      account({ AAPL: quantity }),
    );
    assert.equal(text, `position AAPL: expected 10, give or take open orders, found ${quantity}`);
    assert.equal(others.length, 0);
  }
  const anything = [open(order("AAPL", "buy", undefined))];
  assert.deepEqual(differences(account({}), books, anything, account({ AAPL: "12345" })), []);
});

test("an order that rests is ours only while its command is open", () => {
  const books = new Books();
  const ended = order("AAPL", "buy", "1");
  take(books, ended, "0", "EXPIRED");
  const running = order("AAPL", "buy", "1");
  const found = differences(
    account({}),
    books,
    [open(running)],
    account({}, [running.command_id, ended.command_id, "somebody's"]),
  );
  assert.deepEqual(found, [
    `open order ${ended.command_id} (buy AAPL): expected none, found one; its command ended EXPIRED`,
    "open order somebody's (buy AAPL): expected none, found one; it is not ours",
  ]);
});

test("an order that rested when the account was accepted is no difference any more", () => {
  const found = differences(account({}, ["old"]), new Books(), [], account({}, ["old", "new"]));
  assert.deepEqual(found, ["open order new (buy AAPL): expected none, found one; it is not ours"]);
});

test("what was accepted is the baseline for all that follows; the rest of it stays", () => {
  const books = new Books();
  take(books, order("AAPL", "buy", "5"), "5");
  const before = account({ AAPL: "10", SPY: "1" });
  // 15 are expected; somebody sold 4 of them, and bought MSFT.
  const found = account({ AAPL: "11", MSFT: "3", SPY: "1" });
  assert.equal(differences(before, books, [], found).length, 2);
  const accepted = acceptedBaseline(before, books, [], found);
  assert.deepEqual(differences(accepted, books, [], found), []);
  assert.deepEqual(accepted.positions, [
    { symbol: "AAPL", quantity: "6" },
    { symbol: "SPY", quantity: "1" },
    { symbol: "MSFT", quantity: "3" },
  ]);
});

test("a copy of the books does not see later fills", () => {
  const books = new Books();
  take(books, order("AAPL", "buy", "5"), "5");
  const copy = books.copy();
  take(books, order("AAPL", "buy", "2"), "2");
  assert.deepEqual([books.filled("AAPL"), copy.filled("AAPL")], ["7", "5"]);
});

test("what a carried over order had filled before the baseline is in its result alone", () => {
  const carried = order("AAPL", "buy", "10");
  const sold = order("MSFT", "sell", "5");
  const fills = new Fills();
  fills.add(carried, { kind: "order", quantity: "4" });
  fills.add(sold, { kind: "order", quantity: "5" });
  const baseline = withoutFills(account({ AAPL: "7", XOM: "1" }), [fills]);
  const books = new Books();
  assert.deepEqual(
    differences(baseline, books, [open(carried), open(sold)], account({ AAPL: "7", XOM: "1" })),
    [],
  );
  take(books, carried, "10");
  take(books, sold, "5");
  assert.deepEqual(differences(baseline, books, [], account({ AAPL: "13", XOM: "1" })), []);
  assert.equal(differences(baseline, books, [], account({ AAPL: "17", XOM: "1" })).length, 1);
});
