import assert from "node:assert/strict";
import { test } from "node:test";
import { topics, type TopicDefinition } from "../bus/topics.ts";
import { encodeEvent } from "../core/envelope.ts";
import { decodeEvent, newEvent, type EventOf } from "../core/events.ts";
import { StrategyError } from "./commands.ts";
import { Reactor, type Outcome } from "./reactor.ts";
import { inputTypes, type Decision, type Strategy } from "./strategy.ts";
import { commandsFor, inputEvent, recordOf } from "./testing.ts";

function trade(id: string, price: string, symbol = "AAPL", exchange = "V"): EventOf<"norm.stock_trade"> {
  return inputEvent("norm.stock_trade", id, {
    symbol,
    exchange,
    trade_id: id,
    price,
    size: "1",
    conditions: [],
  });
}

const order: Decision = {
  venue: "alpaca",
  deadline: "2025-10-14T13:30:05.000Z",
  limits: { max_notional: "10" },
  instruction: {
    kind: "place_order",
    symbol: "AAPL",
    side: "buy",
    quantity: "1",
    order_type: "market",
    time_in_force: "day",
  },
};

/** Counts events; decides what the test says. */
function counter(
  more: Partial<Strategy<"norm.stock_trade", number>> & { decide?: (count: number) => readonly Decision[] },
): Strategy<"norm.stock_trade", number> {
  return {
    name: "counter",
    inputs: ["norm.stock_trade"],
    initial: 0,
    react: (count) => ({ state: count + 1, decisions: more.decide?.(count + 1) ?? [] }),
    ...more,
  };
}

/** What a strategy that notes its state in each command has counted. */
function counts(
  more: Partial<Strategy<"norm.stock_trade", number>>,
  events: EventOf<"norm.stock_trade">[],
): string[] {
  const strategy = counter({ ...more, decide: (count) => [{ ...order, action: String(count) }] });
  return commandsFor(strategy, events).map(({ payload }) => payload.idempotency_key);
}

test("a state for each symbol, divided further by keyOf", () => {
  const events = [
    trade("1", "1", "A", "V"),
    trade("2", "1", "B", "V"),
    trade("3", "1", "A", "Q"),
    trade("4", "1", "A", "V"),
  ];
  assert.deepEqual(counts({}, events), ["counter:1", "counter:1", "counter:2", "counter:3"]);
  assert.deepEqual(counts({ keyOf: ({ payload }) => payload.exchange ?? "" }, events), [
    "counter:1",
    "counter:1",
    "counter:1",
    "counter:2",
  ]);
  assert.deepEqual(counts({ keyOf: () => "all" }, events), counts({}, events), "never across symbols");
});

function take(reactor: Reactor<"norm.stock_trade", number>, price: string, offset: number): Outcome {
  return reactor.take(recordOf(trade(String(offset), price), offset));
}

test("when a strategy throws, the event is refused and the state is what it was", () => {
  const react: Strategy<"norm.stock_trade", number>["react"] = (count, { payload }) => {
    if (payload.price === "13") throw new RangeError("unlucky");
    return { state: count + 1, decisions: [{ ...order, action: String(count + 1) }] };
  };
  const reactor = new Reactor(counter({ react }), "norm.stock_trade");
  assert.equal(take(reactor, "1", 0).kind, "reacted");
  const refused = take(reactor, "13", 1);
  assert.ok(refused.kind === "refused" && refused.error instanceof StrategyError);
  assert.match(refused.error.message, /^strategy counter: threw at norm.stock_trade .*RangeError: unlucky/);
  const next = take(reactor, "1", 2);
  assert.ok(next.kind === "reacted");
  assert.match(String(next.commands[0]?.value), /"counter:2"/, "one before, not two");
  assert.equal(take(reactor, "1", 2).kind, "known");
});

test("an event that a normalizer wrote again counts once, though the state has gone on since", () => {
  const reactor = new Reactor(
    counter({ decide: (count) => [{ ...order, action: String(count) }] }),
    "norm.stock_trade",
  );
  const events = ["1", "2", "3"].map((id) => trade(id, "1"));
  const written = [...events, ...events.slice(1), trade("4", "1")];
  const outcomes = written.map((event, offset) => reactor.take(recordOf(event, offset)));
  assert.deepEqual(
    outcomes.map(({ kind }) => kind),
    ["reacted", "reacted", "reacted", "known", "known", "reacted"],
  );
  const last = outcomes.at(-1);
  assert.ok(last?.kind === "reacted");
  assert.match(String(last.commands[0]?.value), /"counter:4"/);
  assert.equal(reactor.position, 6n);
});

test("when one command is not valid, nothing of the event counts, and every mistake is named", () => {
  const bad: Decision = { ...order, deadline: "tomorrow", limits: {} };
  const decide = (count: number): Decision[] =>
    count === 2 ? [order, bad, { ...order, action: "x".repeat(200) }] : [order];
  const reactor = new Reactor(counter({ decide }), "norm.stock_trade");
  assert.equal(take(reactor, "1", 0).kind, "reacted");
  for (const offset of [1, 2]) {
    const refused = take(reactor, "1", offset);
    assert.ok(refused.kind === "refused", "the state stays at 1, so the next one is the second again");
    for (const mistake of [
      /decision 1: deadline: expected an instant/,
      /decision 1: limits.max_notional: is missing/,
      /decision 2: idempotency_key/,
    ]) {
      assert.match(refused.error.message, mistake);
    }
  }
});

test("a command too large for any purpose is refused", () => {
  const huge: Decision = {
    ...order,
    instruction: { ...order.instruction, symbol: "A".repeat(70_000) } as Decision["instruction"],
  };
  assert.throws(() => commandsFor(counter({ decide: () => [huge] }), [trade("1", "1")]), /bytes/);
});

test("what a strategy gives back is no command: refused, not fatal", () => {
  const nothing = (() => undefined) as unknown as Strategy<"norm.stock_trade", number>["react"];
  assert.throws(() => commandsFor(counter({ react: nothing }), [trade("1", "1")]), StrategyError);
});

test("without an action of its own every decision is one: keys differ by event and position", () => {
  const events = [trade("1", "1"), trade("2", "1")];
  const commands = commandsFor(counter({ decide: () => [order, order] }), events);
  const keys = commands.map(({ payload }) => payload.idempotency_key);
  assert.equal(new Set(keys).size, 4);
  assert.equal(keys[1], `counter:${events[0]?.event_id}:1`);
  assert.equal(new Set(commands.map(({ event_id }) => event_id)).size, 4);
});

test("a canary is answered in its partition, without the strategy", () => {
  const reactor = new Reactor(counter({ react: () => assert.fail("asked") }), "norm.stock_trade");
  const cause = trade("1", "1");
  const payload = { canary_id: cause.event_id, sent_at: "2025-10-14T13:30:00.000Z" };
  const canary = newEvent("norm.canary", { ...cause, payload });
  const outcome = reactor.take({ ...recordOf(cause, 5), partition: 2, value: encodeEvent(canary) });
  assert.ok(outcome.kind === "reacted" && outcome.commands.length === 1);
  const [record] = outcome.commands;
  assert.equal(record?.topic, "cmd.execute_trade");
  assert.equal(record.partition, 2);
  const command = decodeEvent("cmd.execute_trade", record.value);
  assert.equal(command.venue, "alpaca");
  assert.deepEqual(command.payload, {
    command_id: command.event_id,
    strategy: "counter",
    idempotency_key: `canary:counter:${canary.event_id}`,
    venue: "alpaca",
    deadline: "2025-10-14T13:31:00.000Z",
    limits: {},
    instruction: { kind: "canary", canary_id: cause.event_id },
  });
});

test("events of its topics that a strategy does not take are passed over; other topics are a mistake", () => {
  const cancel = inputEvent("norm.stock_trade_cancel", "c", {
    symbol: "AAPL",
    trade_id: "1",
    price: "1",
    size: "1",
    action: "canceled",
  });
  const reactor = new Reactor(counter({ react: () => assert.fail("asked") }), "norm.stock_trade");
  assert.deepEqual(reactor.take(recordOf(cancel, 0)), { kind: "reacted", commands: [], cause: cancel });
  assert.equal(reactor.position, 1n);
  assert.throws(() => new Reactor(counter({}), "norm.stock_quote"), /do not come on norm.stock_quote/);
});

test("every input has one topic, and only canonical topics hold inputs", () => {
  for (const type of inputTypes) {
    const homes = Object.values(topics).filter(({ schemas }: TopicDefinition) => schemas.includes(type));
    assert.deepEqual(
      homes.map((home) => home.class),
      ["norm"],
      type,
    );
  }
});
