import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { OutgoingRecord, ReceivedRecord } from "../bus/record.ts";
import { encodeEvent, type Event } from "../core/envelope.ts";
import { decodeEvent, newEvent } from "../core/events.ts";
import { type ExecuteTrade, type JournalEntry, type TradeResult } from "../core/trading.ts";
import {
  RefusedCommandError,
  type ExecutionVenue,
  type Settlement,
  type Submission,
} from "../core/execution-venue.ts";
import { derivedEventId } from "../core/ids.ts";
import { testContext } from "../core/testing.ts";
import { Executor, type ExecutorOptions } from "./executor.ts";
import { Recovery } from "./journal.ts";

/** Kafka as the executor sees it: what is written can be read back; `hold` keeps acknowledgements back. */
class FakeTopics {
  readonly records: ReceivedRecord[] = [];
  #gate = Promise.resolve();
  release: () => void = () => undefined;
  hold(): void {
    this.#gate = new Promise((resolve) => (this.release = resolve));
  }
  send = async (record: OutgoingRecord): Promise<void> => {
    await this.#gate;
    this.records.push({
      topic: record.topic,
      partition: record.partition ?? 0,
      offset: String(this.records.length),
      timestamp: 0,
      key: Buffer.from(record.key),
      value: record.value,
      headers: record.headers ?? {},
    });
  };
  of(topic: string): ReceivedRecord[] {
    return this.records.filter((record) => record.topic === topic);
  }
  entries(): JournalEntry[] {
    return this.of("exec.journal").map(({ value }) => decodeEvent("exec.journal", value).payload);
  }
  results(): TradeResult[] {
    return this.of("exec.trade_result").map(({ value }) => decodeEvent("exec.trade_result", value).payload);
  }
}

/** Nothing was swapped. */
const nothing = { kind: "swap", amount_in: "0", amount_out: "0" } as const;

/** A venue that answers as the test says. */
class FakeVenue implements ExecutionVenue {
  readonly name = "near-intents";
  readonly graceMs = 0;
  readonly calls: string[] = [];
  readonly asked: { id: string; missed: boolean }[] = [];
  submission: (command: ExecuteTrade) => Promise<Submission> = () => Promise.resolve({ outcome: "accepted" });
  settlement: (command: ExecuteTrade, signal: AbortSignal) => Promise<Settlement> = () =>
    Promise.resolve({
      status: "FILLED",
      filled: { kind: "swap", amount_in: "11", amount_out: "10" },
      reference: { tx_hash: "t" },
    });
  refuse: RefusedCommandError | undefined;
  prepare(command: ExecuteTrade) {
    if (this.refuse !== undefined) throw this.refuse;
    return {
      reference: { order: `order of ${command.command_id}` },
      symbols: ["a", "b"],
      notional: undefined,
      submit: () => {
        this.calls.push(command.command_id);
        return this.submission(command);
      },
    };
  }
  settle(command: ExecuteTrade, reference: Record<string, string>, missed: boolean, signal: AbortSignal) {
    assert.equal(reference["order"], `order of ${command.command_id}`);
    this.asked.push({ id: command.command_id, missed });
    return this.settlement(command, signal);
  }
  close = () => Promise.resolve();
}

const now = Date.parse("2025-10-14T13:30:00.000Z");

function command(index: number, more: Partial<ExecuteTrade> = {}): Event<ExecuteTrade> {
  const id = derivedEventId("cmd.execute_trade", String(index));
  return newEvent("cmd.execute_trade", {
    event_id: id,
    venue: "near-intents",
    observed_at: "2025-10-14T13:30:00.000Z",
    ingested_at: "2025-10-14T13:30:00.000Z",
    payload: {
      command_id: id,
      idempotency_key: `dummy:${index}`,
      strategy: "dummy",
      venue: "near-intents",
      deadline: new Date(now + 60_000).toISOString(),
      limits: { max_amount_out: "10" },
      instruction: {
        kind: "answer_swap",
        quote_id: String(index),
        asset_in: "a",
        asset_out: "b",
        amount_in: "11",
        amount_out: "10",
        exact: "in",
      },
      ...more,
    },
    correlation_id: id,
  });
}

function record(event: Event | Buffer, partition = 1): ReceivedRecord {
  return {
    topic: "cmd.execute_trade",
    partition,
    offset: "0",
    timestamp: now,
    key: null,
    value: Buffer.isBuffer(event) ? event : encodeEvent(event),
    headers: {},
  };
}

/** An executor that begins with what `topics` hold. */
function start(topics: FakeTopics, venue: FakeVenue, more: Partial<ExecutorOptions> = {}) {
  const context = testContext();
  const recovery = new Recovery(venue.name);
  for (const each of topics.records) {
    if (each.topic === "exec.journal" || each.topic === "exec.trade_result") recovery.take(each);
  }
  const recovered = recovery.finish();
  const executor = new Executor({ venue, producer: topics, context, recovered, now: () => now, ...more });
  return { executor, context, resume: () => executor.resume(recovered), epoch: recovered.epoch };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

test("a command goes through INTENT and SUBMITTED to FILLED, with one result", async () => {
  const topics = new FakeTopics();
  const venue = new FakeVenue();
  const { executor, context } = start(topics, venue);
  const given = command(1);
  await executor.handle([record(given, 2)]);
  await executor.settled();
  assert.deepEqual(
    topics.entries().map(({ state, epoch }) => [state, epoch]),
    [
      ["INTENT", 1],
      ["SUBMITTED", 1],
      ["FILLED", 1],
    ],
  );
  assert.ok(topics.of("exec.journal").every(({ partition }) => partition === 2));
  const [result, ...others] = topics.results();
  assert.equal(others.length, 0);
  assert.equal(result?.status, "FILLED");
  assert.deepEqual(result.filled, { kind: "swap", amount_in: "11", amount_out: "10" });
  assert.deepEqual(result.reference, { order: `order of ${given.event_id}`, tx_hash: "t" });
  const [event] = topics.of("exec.trade_result").map(({ value }) => decodeEvent("exec.trade_result", value));
  assert.equal(event?.causation_id, given.event_id);
  assert.equal(event.correlation_id, given.correlation_id);
  assert.deepEqual(context.fatals, []);
});

test("the venue is not called before the intent is acknowledged, and the batch waits for no more than that", async () => {
  const topics = new FakeTopics();
  const venue = new FakeVenue();
  let answer: (submission: Submission) => void = () => undefined;
  venue.submission = () => new Promise((resolve) => (answer = resolve));
  const { executor } = start(topics, venue);
  topics.hold();
  let done = false;
  const handled = executor.handle([record(command(1))]).then(() => (done = true));
  await turn();
  assert.deepEqual(venue.calls, []);
  assert.equal(done, false);
  topics.release();
  await handled;
  await turn();
  assert.equal(venue.calls.length, 1);
  assert.equal(executor.inFlight, 1);
  answer({ outcome: "accepted" });
  await executor.settled();
});

test("how an order ends decides the result", async () => {
  const reason = { code: "quote_finished", message: "quote not found or already finished" };
  const cases: [Submission, string, string[]][] = [
    [{ outcome: "rejected", reason }, "REJECTED", ["INTENT", "REJECTED"]],
    [{ outcome: "not_sent", reason }, "DENIED", ["INTENT", "DENIED"]],
    [{ outcome: "unknown", reason }, "EXPIRED", ["INTENT", "UNKNOWN", "EXPIRED"]],
    [{ outcome: "accepted" }, "EXPIRED", ["INTENT", "SUBMITTED", "EXPIRED"]],
  ];
  for (const [submission, status, states] of cases) {
    const topics = new FakeTopics();
    const venue = new FakeVenue();
    venue.submission = () => Promise.resolve(submission);
    venue.settlement = () => Promise.resolve({ status: "EXPIRED", reason, filled: nothing, reference: {} });
    const { executor } = start(topics, venue);
    await executor.handle([record(command(1))]);
    await executor.settled();
    assert.deepEqual(
      topics.entries().map(({ state }) => state),
      states,
    );
    const [result] = topics.results();
    assert.equal(result?.status, status);
    assert.deepEqual(result.reason, reason);
    assert.deepEqual(result.filled, nothing);
    const asked = { accepted: [false], unknown: [true], rejected: [], not_sent: [] }[submission.outcome];
    assert.deepEqual(
      venue.asked.map(({ missed }) => missed),
      asked,
    );
  }
});

test("what must not be sent is not sent, and has a named reason", async () => {
  const topics = new FakeTopics();
  const venue = new FakeVenue();
  const { executor } = start(topics, venue);
  await executor.handle([
    record(command(1, { deadline: new Date(now).toISOString() })),
    record(command(2, { limits: { max_amount_out: "9" } })),
    record(command(3)),
    record(command(4, { idempotency_key: "dummy:3" })),
  ]);
  venue.refuse = new RefusedCommandError("same_asset", "no");
  await executor.handle([record(command(5))]);
  await executor.settled();
  const outcomes = new Map(topics.results().map((result) => [result.command_id, result]));
  const outcome = (index: number) => outcomes.get(command(index).event_id);
  assert.deepEqual([outcome(1)?.status, outcome(1)?.reason?.code], ["EXPIRED", "deadline_passed"]);
  assert.deepEqual([outcome(2)?.status, outcome(2)?.reason?.code], ["DENIED", "limit_exceeded"]);
  assert.equal(outcome(3)?.status, "FILLED");
  assert.deepEqual([outcome(4)?.status, outcome(4)?.reason?.code], ["DENIED", "duplicate_idempotency_key"]);
  assert.deepEqual([outcome(5)?.status, outcome(5)?.reason?.code], ["DENIED", "same_asset"]);
  assert.deepEqual(venue.calls, [command(3).event_id]);
});

test("a deadline that passes while the intent is written ends the command without a call", async () => {
  const topics = new FakeTopics();
  const venue = new FakeVenue();
  let time = now;
  const { executor } = start(topics, venue, { now: () => time });
  topics.hold();
  const handled = executor.handle([record(command(1))]);
  time = now + 60_000;
  topics.release();
  await handled;
  await executor.settled();
  assert.deepEqual(venue.calls, []);
  assert.equal(topics.results()[0]?.reason?.code, "deadline_passed");
});

test("a redelivered command is executed once, in one life and in the next", async () => {
  const topics = new FakeTopics();
  const venue = new FakeVenue();
  const first = start(topics, venue);
  await first.executor.handle([record(command(1)), record(command(1))]);
  await first.executor.settled();
  await first.executor.handle([record(command(1))]);
  const second = start(topics, venue);
  await second.resume();
  await second.executor.handle([record(command(1)), record(command(2, { idempotency_key: "dummy:1" }))]);
  await second.executor.settled();
  assert.deepEqual(venue.calls, [command(1).event_id]);
  assert.deepEqual(
    topics.results().map(({ status }) => status),
    ["FILLED", "DENIED"],
  );
  assert.equal(second.epoch, 2);
});

test("a command delivered again while its intent is on the way is no more done than the first delivery", async () => {
  const topics = new FakeTopics();
  const { executor } = start(topics, new FakeVenue());
  topics.hold();
  const first = executor.handle([record(command(1))]);
  let done = false;
  const second = executor.handle([record(command(1))]).then(() => (done = true));
  await turn();
  assert.equal(done, false, "its offset could be committed before the intent is safe");
  topics.release();
  await Promise.all([first, second]);
  await executor.settled();
});

test("commands of other venues are left alone; what is no command is put aside", async () => {
  const topics = new FakeTopics();
  const venue = new FakeVenue();
  const { executor } = start(topics, venue);
  const other = command(1, { venue: "alpaca" });
  await executor.handle([record({ ...other, venue: "alpaca" }), record(Buffer.from("{"))]);
  await executor.settled();
  assert.deepEqual(
    topics.records.map(({ topic }) => topic),
    ["dead-letter"],
  );
});

test("no more commands are under way than allowed", async () => {
  const topics = new FakeTopics();
  const venue = new FakeVenue();
  const open: ((settlement: Settlement) => void)[] = [];
  venue.settlement = () => new Promise((resolve) => open.push(resolve));
  const { executor } = start(topics, venue, { maximumInFlight: 2 });
  let done = false;
  const handled = executor.handle([1, 2, 3].map((index) => record(command(index)))).then(() => (done = true));
  for (let at = 0; at < 5; at += 1) await turn();
  assert.equal(venue.calls.length, 2);
  assert.equal(done, false);
  open[0]?.({ status: "FILLED", filled: nothing, reference: {} });
  await handled;
  await turn();
  assert.equal(venue.calls.length, 3);
  for (const settle of open) settle({ status: "FILLED", filled: nothing, reference: {} });
  await turn();
  for (const settle of open) settle({ status: "FILLED", filled: nothing, reference: {} });
  await executor.settled();
  assert.equal(topics.results().length, 3);
});

test("a stop leaves open orders to the next executor, which settles them without sending", async () => {
  const topics = new FakeTopics();
  const venue = new FakeVenue();
  venue.settlement = (_command, signal) =>
    new Promise((_resolve, reject) => {
      signal.addEventListener("abort", () => reject(new Error("aborted")));
    });
  const first = start(topics, venue);
  await first.executor.handle([record(command(1))]);
  await turn();
  await first.executor.stop();
  assert.deepEqual(first.context.fatals, []);
  assert.deepEqual(topics.results(), []);

  const successor = new FakeVenue();
  const second = start(topics, successor);
  await second.resume();
  await second.executor.settled();
  assert.deepEqual(successor.calls, []);
  assert.deepEqual(successor.asked, [{ id: command(1).event_id, missed: true }]);
  assert.equal(topics.results()[0]?.status, "FILLED");
});

test("wherever a crash cuts the written records off, each command is sent at most once and ends with one result", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.constantFrom("accepted", "unknown", "rejected", "not_sent"), {
        minLength: 1,
        maxLength: 4,
      }),
      fc.array(fc.nat(20), { minLength: 1, maxLength: 3 }),
      fc.boolean(),
      async (outcomes, cuts, loseResult) => {
        const venue = new FakeVenue();
        const reason = { code: "r", message: "" };
        venue.submission = (given) => {
          const outcome = outcomes[Number(given.idempotency_key.split(":")[1])] ?? "accepted";
          return Promise.resolve(outcome === "accepted" ? { outcome } : { outcome, reason });
        };
        const records = outcomes.map((_, index) => record(command(index)));
        let topics = new FakeTopics();
        for (const cut of cuts) {
          const life = start(topics, venue);
          await life.resume();
          await life.executor.handle(records);
          await life.executor.settled();
          assert.deepEqual(life.context.fatals, []);
          // The crash: nothing after the cut was written. A call to the venue may have happened all the same, but
          // never without its intent, which is written before.
          const survived = new FakeTopics();
          const called = new Set(venue.calls);
          survived.records.push(
            ...topics.records.filter(({ topic, value }, at) => {
              if (at < cut) return true;
              if (topic !== "exec.journal") return !loseResult;
              const entry = decodeEvent("exec.journal", value).payload;
              return entry.state === "INTENT" && called.has(entry.command_id);
            }),
          );
          topics = survived;
        }
        const last = start(topics, venue);
        await last.resume();
        await last.executor.handle(records);
        await last.executor.settled();
        assert.deepEqual(last.context.fatals, []);
        assert.equal(new Set(venue.calls).size, venue.calls.length, "sent twice");
        assert.deepEqual(
          topics
            .results()
            .map(({ command_id }) => command_id)
            .sort(),
          outcomes.map((_, index) => command(index).event_id).sort(),
        );
      },
    ),
    { numRuns: 200 },
  );
});

test("a refusal of which only the result was written is not repeated", async () => {
  const topics = new FakeTopics();
  const late = record(command(1, { deadline: new Date(now).toISOString() }));
  await start(topics, new FakeVenue()).executor.handle([late]);
  topics.records.splice(0, topics.records.length, ...topics.of("exec.trade_result"));
  const next = start(topics, new FakeVenue());
  await next.resume();
  await next.executor.handle([late]);
  assert.equal(topics.results().length, 1);
});

test("a journal that cannot be understood keeps the executor from starting, and the record is named", () => {
  const recovery = new Recovery("near-intents");
  const broken = { ...record(Buffer.from("{")), topic: "exec.journal", partition: 2, offset: "17" };
  assert.throws(() => recovery.take(broken), /exec\.journal, partition 2, offset 17.*does not start/);
});
