import assert from "node:assert/strict";
import { test } from "node:test";
import { newEvent } from "../../../services/core/events.ts";
import { derivedEventId } from "../../../services/core/ids.ts";
import type { ExecuteTrade, JournalEntry, TradeResult } from "../../../services/core/trading.ts";
import { newOrder, type Order } from "../../venues/alpaca/order.ts";
import { type CommandEvidence, judgeCommands } from "./commands.ts";

const start = Date.parse("2025-10-14T14:00:00.000Z");
const instant = (seconds: number) => new Date(start + seconds * 1_000).toISOString();
const idOf = (number: number) => derivedEventId("test", String(number));
const record = (topic: string, offset: number, seconds: number) => ({
  topic,
  partition: 0,
  offset: String(offset),
  timestamp: String(start + seconds * 1_000),
  key: null,
  headers: [],
  value: null,
});
const envelope = (id: string) => ({
  event_id: id,
  venue: "alpaca",
  observed_at: instant(0),
  ingested_at: instant(0),
});

function command(number: number): ExecuteTrade {
  return {
    command_id: idOf(number),
    idempotency_key: `key ${number}`,
    strategy: "dummy",
    venue: "alpaca",
    deadline: instant(20),
    limits: { max_notional: "100" },
    instruction: {
      kind: "place_order",
      symbol: "AAPL",
      side: "buy",
      quantity: "1",
      order_type: "limit",
      limit_price: "100",
      time_in_force: "ioc",
    },
  };
}

function placedCommand(number: number) {
  return {
    event: newEvent("cmd.execute_trade", { ...envelope(idOf(number)), payload: command(number) }),
    record: record("cmd.execute_trade", number, 0),
  };
}

function entry(number: number, state: JournalEntry["state"], seconds: number, epoch = 1) {
  return {
    event: newEvent("exec.journal", {
      ...envelope(derivedEventId("entry", idOf(number), state, String(epoch))),
      payload: {
        command_id: idOf(number),
        idempotency_key: `key ${number}`,
        state,
        epoch,
        at: instant(seconds),
        ...(state === "INTENT"
          ? { command: command(number), reference: { client_order_id: `order ${number}` } }
          : {}),
      },
    }),
    record: record("exec.journal", seconds, seconds),
  };
}

function result(number: number, status: TradeResult["status"], quantity = "1") {
  const isFilled = status === "FILLED";
  return {
    event: newEvent("exec.trade_result", {
      ...envelope(derivedEventId("result", idOf(number))),
      payload: {
        command_id: idOf(number),
        idempotency_key: `key ${number}`,
        strategy: "dummy",
        status,
        ...(isFilled ? {} : { reason: { code: "not_found", message: "the venue does not know it" } }),
        filled: {
          kind: "order" as const,
          quantity: isFilled ? quantity : "0",
          ...(isFilled ? { average_price: "99" } : {}),
        },
        reference: {},
        completed_at: instant(4),
      },
    }),
    record: record("exec.trade_result", number, 4),
  };
}

function order(number: number, seconds: number): Order {
  return {
    ...newOrder(
      {
        symbol: "AAPL",
        qty: "1",
        side: "buy",
        type: "limit",
        limit_price: "100",
        time_in_force: "ioc",
        client_order_id: `order ${number}`,
      },
      instant(seconds),
    ),
    status: "filled",
    filled_qty: "1",
    filled_avg_price: "99",
  };
}

const filled = (number: number) => [entry(number, "INTENT", 1), entry(number, "FILLED", 3)];

/** Command 1, as it should be. */
const good: CommandEvidence = {
  commands: [placedCommand(1)],
  journal: filled(1),
  results: [result(1, "FILLED")],
  reconciliation: [],
  orders: [order(1, 2)],
  repeatedOrders: 0,
  near: { settled: [], offers: [], refused: {}, duplicates: 0, repeats: 0 },
  freezes: [],
};

const kinds = (findings: readonly { what: string }[]) => findings.map(({ what }) => what);

test("a command that was executed once and answered once is no finding, however often it was delivered", () => {
  const verdict = judgeCommands({ ...good, commands: [placedCommand(1), placedCommand(1)] });
  assert.equal(verdict.commands, 1);
  assert.equal(verdict.executed, 1);
  assert.deepEqual(verdict.statuses, { FILLED: 1 });
  for (const findings of [verdict.duplicates, verdict.lost, verdict.violations, verdict.givenUp])
    assert.deepEqual(findings, []);
});

test("a second execution is a duplicate", () => {
  const verdict = judgeCommands({ ...good, orders: [order(1, 2), order(1, 15)] });
  assert.deepEqual(kinds(verdict.duplicates), ["executed_twice"]);
  assert.equal(verdict.duplicates[0]?.subject, idOf(1));
});

test("a second sending that the venue refused, and a second result, are duplicates as well", () => {
  assert.deepEqual(kinds(judgeCommands({ ...good, repeatedOrders: 2 }).duplicates), ["sent_twice"]);
  const near = { ...good.near, duplicates: 1 };
  assert.deepEqual(kinds(judgeCommands({ ...good, near }).duplicates), ["sent_twice"]);
  const twice = { ...good, results: [result(1, "FILLED"), result(1, "FILLED")] };
  assert.deepEqual(kinds(judgeCommands(twice).duplicates), ["answered_twice"]);
});

test("a command without result is lost, and the journal's last word about it is told", () => {
  const verdict = judgeCommands({ ...good, journal: [entry(1, "INTENT", 1)], results: [] });
  assert.deepEqual(kinds(verdict.lost), ["no_result"]);
  assert.match(verdict.lost[0]?.detail ?? "", /INTENT/);
});

test("what is given up for safety is named, and no finding", () => {
  const verdict = judgeCommands({
    ...good,
    journal: [entry(1, "INTENT", 1), entry(1, "EXPIRED", 3, 2)],
    results: [result(1, "EXPIRED")],
    orders: [],
  });
  assert.deepEqual(verdict.givenUp, [
    { command_id: idOf(1), venue: "alpaca", status: "EXPIRED", reason: "not_found" },
  ]);
  assert.deepEqual([...verdict.violations, ...verdict.duplicates, ...verdict.lost], []);
});

test("an order without INTENT, or before it, is found", () => {
  const without = judgeCommands({ ...good, orders: [order(1, 2), order(7, 2)] });
  assert.deepEqual(kinds(without.violations), ["order_without_intent"]);
  const early = judgeCommands({ ...good, orders: [order(1, 0)] });
  assert.deepEqual(kinds(early.violations), ["order_before_intent"]);
});

test("results and the venue's book must tell the same", () => {
  const nothing = judgeCommands({ ...good, orders: [] });
  assert.deepEqual(kinds(nothing.violations), ["filled_not_executed"]);
  const more = judgeCommands({ ...good, results: [result(1, "FILLED", "2")] });
  assert.deepEqual(kinds(more.violations), ["fill_differs"]);
  const hidden: CommandEvidence = {
    ...good,
    journal: [entry(1, "INTENT", 1), entry(1, "EXPIRED", 3)],
    results: [result(1, "EXPIRED")],
  };
  assert.deepEqual(kinds(judgeCommands(hidden).violations), ["fill_not_reported"]);
  const late = newEvent("exec.reconciliation", {
    ...envelope(derivedEventId("late", idOf(1))),
    payload: {
      kind: "late_fill",
      at: instant(5),
      command_id: idOf(1),
      status: "EXPIRED",
      filled: { kind: "order", quantity: "1", average_price: "99" },
      reference: {},
    },
  });
  const reported = judgeCommands({
    ...hidden,
    reconciliation: [{ event: late, record: record("exec.reconciliation", 0, 5) }],
  });
  assert.deepEqual(reported.violations, []);
  assert.deepEqual(reported.lateFills, [idOf(1)]);
});

test("illegal steps of the journal and results that differ from it are found", () => {
  const again = [...filled(1), entry(1, "INTENT", 5, 2)];
  assert.deepEqual(kinds(judgeCommands({ ...good, journal: again }).violations), [
    "illegal_step",
    "result_differs",
  ]);
  const back = [entry(1, "INTENT", 1, 2), entry(1, "FILLED", 3, 1)];
  assert.deepEqual(kinds(judgeCommands({ ...good, journal: back }).violations), ["older_epoch"]);
  const repeated = [
    entry(1, "INTENT", 1),
    entry(1, "UNKNOWN", 2),
    entry(1, "UNKNOWN", 3, 2),
    entry(1, "FILLED", 4, 2),
  ];
  assert.deepEqual(judgeCommands({ ...good, journal: repeated }).violations, []);
});

test("a result that belongs to no command is found", () => {
  const stray = judgeCommands({
    ...good,
    journal: [...good.journal, entry(2, "INTENT", 1), entry(2, "EXPIRED", 3)],
    results: [...good.results, result(2, "EXPIRED")],
  });
  assert.deepEqual(kinds(stray.violations), ["result_without_command"]);
});

test("a command whose executor stood still between INTENT and the venue is counted", () => {
  const freezes = [{ venue: "alpaca", from: start + 1_100, to: start + 1_900 }];
  assert.equal(judgeCommands({ ...good, freezes }).caught, 1);
  assert.equal(judgeCommands({ ...good, freezes: [{ ...freezes[0]!, to: start + 3_000 }] }).caught, 0);
});
