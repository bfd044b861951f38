import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { RecordsAbandonedError } from "../bus/consumer.ts";
import type { OutgoingRecord, ReceivedRecord } from "../bus/record.ts";
import { TransactionLostError } from "../bus/transaction.ts";
import { encodeEvent, type Event } from "../core/envelope.ts";
import { decodeEvent, newEvent } from "../core/events.ts";
import {
  RefusedCommandError,
  type ExecutionVenue,
  type MayStillSend,
  type Settlement,
  type Submission,
} from "../core/execution-venue.ts";
import { derivedEventId } from "../core/ids.ts";
import { testContext } from "../core/testing.ts";
import type { ExecuteTrade, JournalEntry, TradeResult } from "../core/trading.ts";
import { EndedCommands } from "./ended-commands.ts";
import { PartitionExecutor, type PartitionExecutorOptions, type PartitionLog } from "./executor.ts";
import { Recovery } from "./journal.ts";
import { executionMetrics } from "./metrics.ts";

/** The partition's journal and results: a call's records appear together; `hold` keeps commits back. */
class FakeLog implements PartitionLog {
  readonly records: ReceivedRecord[] = [];
  #gate = Promise.resolve();
  release: () => void = () => undefined;
  #answers = Promise.resolve();
  releaseAnswers: () => void = () => undefined;
  /** Somebody else has taken the partition. */
  readonly fence: (error: Error) => void;
  readonly lost: Promise<Error>;
  #fenced: Error | undefined;
  #commits = 0;
  readonly #life: { commits: number; uncertain: boolean };

  /** @param life how many commits succeed before it is fenced; `uncertain`: the last one's answer is lost. */
  constructor(
    records: readonly ReceivedRecord[] = [],
    life: { commits: number; uncertain: boolean } = { commits: Infinity, uncertain: false },
  ) {
    this.records.push(...records);
    this.#life = life;
    let report: (error: Error) => void = () => undefined;
    this.lost = new Promise((resolve) => (report = resolve));
    this.fence = (error) => {
      this.#fenced ??= error;
      report(error);
    };
  }
  /** Nothing is committed until `release`. */
  hold(): void {
    this.#gate = new Promise((resolve) => (this.release = resolve));
  }
  /** What is committed is not answered until `releaseAnswers`. */
  holdAnswers(): void {
    this.#answers = new Promise((resolve) => (this.releaseAnswers = resolve));
  }
  send = async (records: readonly OutgoingRecord[]): Promise<void> => {
    await this.#gate;
    const { commits, uncertain } = this.#life;
    if (this.#commits >= commits) this.fence(fenced());
    if (this.#fenced !== undefined) throw this.#fenced;
    this.#commits += 1;
    for (const record of records) {
      this.records.push({
        topic: record.topic,
        partition: record.partition ?? 0,
        offset: String(this.records.length),
        timestamp: 0,
        key: Buffer.from(record.key),
        value: record.value,
        headers: record.headers ?? {},
      });
    }
    await this.#answers;
    if (uncertain && this.#commits >= commits) {
      this.fence(fenced());
      throw fenced();
    }
  };
  close = () => Promise.resolve();
  abandon = () => Promise.resolve();
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

const fenced = () =>
  new TransactionLostError("executor-near-intents-1", "write", new Error("old epoch"), true);

/** Nothing was swapped. */
const nothing = { kind: "swap", amount_in: "0", amount_out: "0" } as const;

/** A venue that answers as the test says. */
class FakeVenue implements ExecutionVenue {
  readonly name = "near-intents";
  readonly graceMs = 0;
  readonly calls: string[] = [];
  readonly asked: { id: string; missed: boolean }[] = [];
  readonly canceled: string[] = [];
  /** What has to be waited for before an order can be sent: a connection, a budget. */
  room = Promise.resolve();
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
      submit: async (mayStillSend: MayStillSend): Promise<Submission> => {
        await this.room;
        const reason = mayStillSend();
        if (reason !== undefined) return { outcome: "not_sent", reason };
        this.calls.push(command.command_id);
        return this.submission(command);
      },
    };
  }
  cancel(command: ExecuteTrade): Promise<void> {
    this.canceled.push(command.command_id);
    return Promise.resolve();
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

/** An executor that begins with what the log holds. */
function start(log: FakeLog, venue: FakeVenue, more: Partial<PartitionExecutorOptions> = {}) {
  const context = testContext();
  const ended = new EndedCommands();
  const recovery = new Recovery(venue.name, (command, reference) => ended.add(command, reference));
  for (const each of log.of("exec.journal")) recovery.take(each);
  const deadLetters = new FakeLog();
  const executor = new PartitionExecutor({
    venue,
    partition: 1,
    epoch: recovery.epoch + 1,
    log,
    gates: { command: () => undefined, order: () => undefined, stopped: () => undefined },
    deadLetters: { send: (letter) => deadLetters.send([letter]) },
    context,
    metrics: executionMetrics(context.metrics.registry, {
      venue: venue.name,
      isStopped: () => false,
      oldestUnknownSeconds: () => 0,
    }),
    open: recovery.open,
    ended,
    now: () => now,
    ...more,
  });
  return { executor, context, deadLetters, epoch: recovery.epoch + 1 };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

test("a command goes through INTENT and SUBMITTED to FILLED, with one result", async () => {
  const log = new FakeLog();
  const venue = new FakeVenue();
  const { executor, context } = start(log, venue);
  const given = command(1);
  await executor.handle([record(given)]);
  await executor.settled();
  assert.deepEqual(
    log.entries().map(({ state, epoch }) => [state, epoch]),
    [
      ["INTENT", 1],
      ["SUBMITTED", 1],
      ["FILLED", 1],
    ],
  );
  assert.ok(log.of("exec.journal").every(({ partition }) => partition === 1));
  const [result, ...others] = log.results();
  assert.equal(others.length, 0);
  assert.equal(result?.status, "FILLED");
  assert.deepEqual(result.filled, { kind: "swap", amount_in: "11", amount_out: "10" });
  assert.deepEqual(result.reference, { order: `order of ${given.event_id}`, tx_hash: "t" });
  const [event] = log.of("exec.trade_result").map(({ value }) => decodeEvent("exec.trade_result", value));
  assert.equal(event?.causation_id, given.event_id);
  assert.equal(event.correlation_id, given.correlation_id);
  assert.deepEqual(context.fatals, []);
});

test("the venue is not called before the intent is acknowledged, and the batch waits for no more than that", async () => {
  const log = new FakeLog();
  const venue = new FakeVenue();
  let answer: (submission: Submission) => void = () => undefined;
  venue.submission = () => new Promise((resolve) => (answer = resolve));
  const { executor } = start(log, venue);
  log.hold();
  let done = false;
  const handled = executor.handle([record(command(1))]).then(() => (done = true));
  await turn();
  assert.deepEqual(venue.calls, []);
  assert.equal(done, false);
  log.release();
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
    const log = new FakeLog();
    const venue = new FakeVenue();
    venue.submission = () => Promise.resolve(submission);
    venue.settlement = () => Promise.resolve({ status: "EXPIRED", reason, filled: nothing, reference: {} });
    const { executor } = start(log, venue);
    await executor.handle([record(command(1))]);
    await executor.settled();
    assert.deepEqual(
      log.entries().map(({ state }) => state),
      states,
    );
    const [result] = log.results();
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
  const log = new FakeLog();
  const venue = new FakeVenue();
  const reason = { code: "kill_switch", message: "stopped" };
  const gates = {
    command: ({ event_id }: Event) => (event_id === command(2).event_id ? reason : undefined),
    order: ({ command_id }: ExecuteTrade) => (command_id === command(6).event_id ? reason : undefined),
    stopped: () => undefined,
  };
  const { executor } = start(log, venue, { gates });
  await executor.handle([
    record(command(6)),
    record(command(1, { deadline: new Date(now).toISOString() })),
    record(command(2)),
    record(command(3)),
    record(command(4, { idempotency_key: "dummy:3" })),
  ]);
  venue.refuse = new RefusedCommandError("same_asset", "no");
  await executor.handle([record(command(5))]);
  await executor.settled();
  const outcomes = new Map(log.results().map((result) => [result.command_id, result]));
  const outcome = (index: number) => outcomes.get(command(index).event_id);
  assert.deepEqual([outcome(1)?.status, outcome(1)?.reason?.code], ["EXPIRED", "deadline_passed"]);
  assert.deepEqual([outcome(2)?.status, outcome(2)?.reason?.code], ["DENIED", "kill_switch"]);
  assert.deepEqual([outcome(6)?.status, outcome(6)?.reason?.code], ["DENIED", "kill_switch"]);
  assert.deepEqual(
    log
      .entries()
      .filter(({ state }) => state === "INTENT")
      .map(({ command_id }) => command_id),
    [command(3).event_id],
  );
  assert.equal(outcome(3)?.status, "FILLED");
  assert.deepEqual([outcome(4)?.status, outcome(4)?.reason?.code], ["DENIED", "duplicate_idempotency_key"]);
  assert.deepEqual([outcome(5)?.status, outcome(5)?.reason?.code], ["DENIED", "same_asset"]);
  assert.deepEqual(venue.calls, [command(3).event_id]);
});

test("a deadline that passes while the intent is written ends the command without a call", async () => {
  const log = new FakeLog();
  const venue = new FakeVenue();
  let time = now;
  const { executor } = start(log, venue, { now: () => time });
  log.hold();
  const handled = executor.handle([record(command(1))]);
  time = now + 60_000;
  log.release();
  await handled;
  await executor.settled();
  assert.deepEqual(venue.calls, []);
  assert.equal(log.results()[0]?.reason?.code, "deadline_passed");
});

test("what stops trading between the intent and the sending stops the order: it ends DENIED", async () => {
  for (const code of ["kill_switch", "account_mismatch"]) {
    const log = new FakeLog();
    const venue = new FakeVenue();
    const reason = { code, message: "stopped" };
    let isStopped = false;
    const stopped = () => (isStopped ? reason : undefined);
    const gates = { command: () => undefined, order: () => undefined, stopped };
    let free: () => void = () => undefined;
    venue.room = new Promise((resolve) => (free = resolve));
    const { executor } = start(log, venue, { gates });
    await executor.handle([record(command(1))]);
    isStopped = true;
    free();
    await executor.settled();
    assert.deepEqual(venue.calls, []);
    assert.deepEqual(
      log.entries().map(({ state }) => state),
      ["INTENT", "DENIED"],
    );
    assert.deepEqual(log.results()[0]?.reason, reason);
  }
});

test("an order that waits to be sent is not, and says nothing, when the right to write is gone", async () => {
  const log = new FakeLog();
  const venue = new FakeVenue();
  let free: () => void = () => undefined;
  venue.room = new Promise((resolve) => (free = resolve));
  const { executor, context } = start(log, venue);
  await executor.handle([record(command(1))]);
  log.fence(fenced());
  await turn();
  free();
  await executor.settled();
  assert.deepEqual(venue.calls, []);
  assert.deepEqual(
    log.entries().map(({ state }) => state),
    ["INTENT"],
  );
  assert.deepEqual(context.fatals, []);
});

test("an order is canceled once, and only when the venue has been handed it", async () => {
  const log = new FakeLog();
  const venue = new FakeVenue();
  let end: (settlement: Settlement) => void = () => undefined;
  venue.settlement = () => new Promise((resolve) => (end = resolve));
  const { executor } = start(log, venue);
  log.hold();
  const handled = executor.handle([record(command(1))]);
  await turn();
  await executor.cancelOpen();
  assert.deepEqual(venue.canceled, [], "its intent is not committed: a cancellation now would be lost");
  log.release();
  await handled;
  await turn();
  await executor.cancelOpen();
  await executor.cancelOpen();
  assert.deepEqual(venue.canceled, [command(1).event_id]);
  end({ status: "CANCELED", filled: nothing, reference: {} });
  await executor.settled();
});

test("a redelivered command is executed once, in one life and in the next", async () => {
  const log = new FakeLog();
  const venue = new FakeVenue();
  const first = start(log, venue);
  await first.executor.handle([record(command(1)), record(command(1))]);
  await first.executor.settled();
  await first.executor.handle([record(command(1))]);
  const second = start(log, venue);
  await second.executor.resume();
  await second.executor.handle([record(command(1)), record(command(2, { idempotency_key: "dummy:1" }))]);
  await second.executor.settled();
  assert.deepEqual(venue.calls, [command(1).event_id]);
  assert.deepEqual(
    log.results().map(({ status }) => status),
    ["FILLED", "DENIED"],
  );
  assert.equal(second.epoch, 2);
});

test("a command delivered again while its intent is on the way is no more done than the first delivery", async () => {
  const log = new FakeLog();
  const { executor } = start(log, new FakeVenue());
  log.hold();
  const first = executor.handle([record(command(1))]);
  let done = false;
  const second = executor.handle([record(command(1))]).then(() => (done = true));
  await turn();
  assert.equal(done, false, "its offset could be committed before the intent is safe");
  log.release();
  await Promise.all([first, second]);
  await executor.settled();
});

test("commands of other venues are left alone; what is no command is put aside", async () => {
  const log = new FakeLog();
  const venue = new FakeVenue();
  const { executor, deadLetters } = start(log, venue);
  const other = command(1, { venue: "alpaca" });
  await executor.handle([record({ ...other, venue: "alpaca" }), record(Buffer.from("{"))]);
  await executor.settled();
  assert.deepEqual(
    deadLetters.records.map(({ topic }) => topic),
    ["dead-letter"],
  );
  assert.deepEqual(log.records, []);
});

test("no more commands are under way than allowed", async () => {
  const log = new FakeLog();
  const venue = new FakeVenue();
  const open: ((settlement: Settlement) => void)[] = [];
  venue.settlement = () => new Promise((resolve) => open.push(resolve));
  const { executor } = start(log, venue, { maximumInFlight: 2 });
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
  assert.equal(log.results().length, 3);
});

test("a stop does not wait for room: what has not been taken is left to the next owner", async () => {
  const venue = new FakeVenue();
  venue.settlement = () => new Promise(() => undefined);
  const { executor } = start(new FakeLog(), venue, { maximumInFlight: 1 });
  const handled = executor.handle([1, 2].map((index) => record(command(index))));
  handled.catch(() => undefined);
  for (let at = 0; at < 5; at += 1) await turn();
  assert.equal(venue.calls.length, 1);
  executor.stopTaking();
  await assert.rejects(handled, { name: "RecordsAbandonedError" });
});

test("a stop leaves open orders to the next executor, which settles them without sending", async () => {
  const log = new FakeLog();
  const venue = new FakeVenue();
  venue.settlement = (_command, signal) =>
    new Promise((_resolve, reject) => {
      signal.addEventListener("abort", () => reject(new Error("aborted")));
    });
  const first = start(log, venue);
  await first.executor.handle([record(command(1))]);
  await turn();
  await first.executor.close();
  assert.deepEqual(first.context.fatals, []);
  assert.deepEqual(log.results(), []);

  const successor = new FakeVenue();
  const second = start(log, successor);
  await second.executor.resume();
  await second.executor.settled();
  assert.deepEqual(successor.calls, []);
  assert.deepEqual(successor.asked, [{ id: command(1).event_id, missed: true }]);
  assert.equal(log.results()[0]?.status, "FILLED");
});

test("a canary ends DENIED without an intent, also when nothing may be traded", async () => {
  const log = new FakeLog();
  const venue = new FakeVenue();
  const reason = { code: "kill_switch", message: "" };
  const gates = { command: () => reason, order: () => undefined, stopped: () => reason };
  const { executor } = start(log, venue, { gates });
  const instruction = { kind: "canary" as const, canary_id: derivedEventId("norm.canary", "1") };
  await executor.handle([record(command(1, { instruction, limits: {} }))]);
  assert.deepEqual(
    log.results().map(({ status, reason }) => [status, reason?.code]),
    [["DENIED", "canary"]],
  );
  assert.deepEqual(
    log.entries().map(({ state }) => state),
    ["DENIED"],
  );
});

test("an executor that is fenced gives its records back, writes nothing more and is no failure", async () => {
  const log = new FakeLog();
  const venue = new FakeVenue();
  const answers: ((submission: Submission) => void)[] = [];
  venue.submission = () => new Promise((resolve) => answers.push(resolve));
  const { executor, context } = start(log, venue);
  await executor.handle([record(command(1))]);
  await turn();
  assert.equal(venue.calls.length, 1);
  log.fence(fenced());
  await assert.rejects(executor.handle([record(command(2))]), RecordsAbandonedError);
  for (const answer of answers) answer({ outcome: "accepted" });
  await executor.settled();
  await executor.close();
  assert.deepEqual(
    log.entries().map(({ state }) => state),
    ["INTENT"],
  );
  assert.deepEqual(venue.calls, [command(1).event_id]);
  assert.deepEqual(context.fatals, []);
});

test("a partition that is given away sends what has its intent, and takes nothing more", async () => {
  const log = new FakeLog();
  const venue = new FakeVenue();
  const { executor } = start(log, venue);
  log.hold();
  const handled = executor.handle([record(command(1))]);
  await turn();
  const closed = executor.close();
  await assert.rejects(executor.handle([record(command(2))]), RecordsAbandonedError);
  log.release();
  await handled;
  await closed;
  assert.deepEqual(venue.calls, [command(1).event_id]);
  assert.deepEqual(
    log
      .entries()
      .map(({ state }) => state)
      .slice(0, 2),
    ["INTENT", "SUBMITTED"],
  );
});

/** One owner's life in the property below: what it commits before it is fenced, and how it goes on. */
interface Life {
  /** Calls of `send` that are committed. */
  commits: number;
  /** The last of them is committed without its sender's learning of it. */
  uncertain: boolean;
  /** Acknowledgements reach it only when its successor has settled: it was frozen. */
  frozen: boolean;
}

test("wherever an owner is fenced, frozen or left in doubt, each command is sent at most once and ends with one result", async () => {
  const lives = fc.array(fc.record({ commits: fc.nat(12), uncertain: fc.boolean(), frozen: fc.boolean() }), {
    minLength: 1,
    maxLength: 3,
  });
  const outcomes = fc.array(fc.constantFrom("accepted", "unknown", "rejected", "not_sent"), {
    minLength: 1,
    maxLength: 4,
  });
  await fc.assert(
    fc.asyncProperty(outcomes, lives, async (given, owners: Life[]) => {
      let time = now;
      let passed: () => void = () => undefined;
      const deadline = new Promise<void>((resolve) => (passed = resolve));
      const calls: string[] = [];
      const taken = new Set<string>();
      const makeVenue = (): FakeVenue => {
        const venue = new FakeVenue();
        const reason = { code: "r", message: "" };
        venue.submission = ({ command_id, idempotency_key }) => {
          calls.push(command_id);
          const outcome = given[Number(idempotency_key.split(":")[1])] ?? "accepted";
          if (outcome === "accepted") taken.add(command_id);
          return Promise.resolve(outcome === "accepted" ? { outcome } : { outcome, reason });
        };
        // As a real venue: what it does not know counts as not there only after the deadline.
        venue.settlement = async ({ command_id }) => {
          if (!taken.has(command_id)) await deadline;
          return taken.has(command_id)
            ? { status: "FILLED", filled: { kind: "swap", amount_in: "11", amount_out: "10" }, reference: {} }
            : {
                status: "EXPIRED",
                reason: { code: "not_found", message: "" },
                filled: nothing,
                reference: {},
              };
        };
        return venue;
      };
      const records = given.map((_, index) => record(command(index)));
      let log = new FakeLog();
      const zombies: { executor: PartitionExecutor; log: FakeLog; fatals: unknown[] }[] = [];
      for (const { commits, uncertain, frozen } of owners) {
        log.fence(fenced());
        log = new FakeLog(log.records, { commits, uncertain });
        if (frozen) log.holdAnswers();
        const life = start(log, makeVenue(), { now: () => time });
        void life.executor.resume();
        void life.executor.handle(records).catch((error: unknown) => {
          assert.ok(error instanceof RecordsAbandonedError);
        });
        for (let at = 0; at < 10; at += 1) await turn();
        // Its successor takes the partition, whatever it has done so far.
        zombies.push({ executor: life.executor, log, fatals: life.context.fatals });
      }
      log.fence(fenced());
      const last = start((log = new FakeLog(log.records)), makeVenue(), { now: () => time });
      const settled = last.executor.resume();
      await last.executor.handle(records);
      time = now + 60_000;
      passed();
      // The frozen ones wake up only now.
      for (const zombie of zombies) zombie.log.releaseAnswers();
      await settled;
      await last.executor.settled();
      for (const { executor, fatals } of zombies) {
        await executor.settled();
        assert.deepEqual(fatals, []);
      }
      assert.deepEqual(last.context.fatals, []);
      assert.equal(new Set(calls).size, calls.length, "sent twice");
      const results = log.results();
      assert.deepEqual(
        results.map(({ command_id }) => command_id).sort(),
        given.map((_, index) => command(index).event_id).sort(),
      );
      for (const { command_id, status } of results) {
        assert.equal(
          status === "FILLED",
          taken.has(command_id),
          "a result that the venue's book does not confirm",
        );
      }
    }),
    { numRuns: 300 },
  );
});

test("an order that rests is left alone when it may be: no result, no cancellation, in this life and the next", async () => {
  const log = new FakeLog();
  const venue = new FakeVenue();
  const rests = { kind: "swap", amount_in: "3", amount_out: "2" } as const;
  const standings: ExecutionVenue["standing"][] = [
    () => Promise.resolve({ filled: rests, isResting: true }),
    () => Promise.resolve({ filled: rests, isResting: false }),
    () => Promise.resolve(undefined),
  ];
  const order = new Map(standings.map((standing, index) => [command(index).event_id, standing]));
  const resting: ExecutionVenue = Object.assign(venue, {
    standing: ((each, reference, signal) =>
      order.get(each.command_id)?.(each, reference, signal)) as NonNullable<ExecutionVenue["standing"]>,
  });
  venue.settlement = (_command, signal) =>
    new Promise((_resolve, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason as Error));
    });
  const { executor } = start(log, resting as FakeVenue);
  await executor.handle([0, 1, 2, 3].map((index) => record(command(index))));
  await turn();
  const { signal } = new AbortController();
  await executor.leaveResting(({ command_id }) => order.has(command_id), signal);
  assert.equal(executor.inFlight, 3, "nobody waits for the end of what was left");
  await executor.cancelOpen();
  assert.deepEqual(
    venue.canceled,
    [1, 2, 3].map((index) => command(index).event_id),
  );
  const left = log.entries().filter(({ state }) => state === "CARRIED_OVER");
  assert.deepEqual(
    left.map(({ command_id, filled }) => [command_id, filled]),
    [[command(0).event_id, rests]],
  );
  assert.deepEqual(log.results(), []);
  await executor.close();

  const after = new FakeVenue();
  const next = start(new FakeLog(log.records), after);
  await next.executor.resume();
  await next.executor.handle([record(command(0))]);
  await next.executor.cancelOpen();
  assert.deepEqual(after.asked.map(({ id }) => id).sort(), [1, 2, 3].map((i) => command(i).event_id).sort());
  assert.deepEqual([after.calls, after.canceled], [[], []]);
});

test("an end that the venue tells while it is asked how the order stands is the end: it is not left", async () => {
  const log = new FakeLog();
  const venue = new FakeVenue();
  let settle: (settlement: Settlement) => void = () => undefined;
  venue.settlement = () => new Promise((resolve) => (settle = resolve));
  const filled = { kind: "swap", amount_in: "11", amount_out: "10" } as const;
  const resting = Object.assign(venue, {
    standing: async () => {
      settle({ status: "FILLED", filled, reference: {} });
      await turn();
      // What the venue had said before.
      return { filled: { ...filled, amount_out: "0" }, isResting: true };
    },
  });
  const { executor } = start(log, resting);
  await executor.handle([record(command(1))]);
  await turn();
  await executor.leaveResting(() => true, new AbortController().signal);
  await executor.settled();
  assert.deepEqual(
    log.results().map(({ status }) => status),
    ["FILLED"],
  );
  assert.ok(log.entries().every(({ state }) => state !== "CARRIED_OVER"));
});

test("a partition that is taken away while an order is left is the next owner's, and no failure of the drain", async () => {
  // INTENT and SUBMITTED are written; what comes then meets the next owner's epoch.
  const log = new FakeLog([], { commits: 2, uncertain: false });
  const venue = new FakeVenue();
  venue.settlement = () => new Promise(() => undefined);
  const standing = () => Promise.resolve({ filled: nothing, isResting: true });
  const { executor } = start(log, Object.assign(venue, { standing }));
  await executor.handle([record(command(1))]);
  await turn();
  await executor.leaveResting(() => true, new AbortController().signal);
  assert.deepEqual(
    log.entries().map(({ state }) => state),
    ["INTENT", "SUBMITTED"],
  );
});

test("an intent that a former owner left is not sent, and counts as given up when the venue does not know it", async () => {
  const log = new FakeLog();
  const venue = new FakeVenue();
  const frozen = start(log, venue);
  log.holdAnswers();
  void frozen.executor.handle([record(command(1))]).catch(() => undefined);
  await turn();
  const next = new FakeLog(log.records);
  venue.settlement = () =>
    Promise.resolve({
      status: "EXPIRED",
      reason: { code: "not_found", message: "no such order" },
      filled: nothing,
      reference: {},
    });
  const { executor, context } = start(next, venue);
  await executor.resume();
  const [result] = next.results();
  assert.deepEqual([result?.status, result?.reason?.code], ["EXPIRED", "given_up"]);
  assert.match(result?.reason?.message ?? "", /not_found, no such order/);
  assert.deepEqual(venue.calls, []);
  assert.match(await context.metrics.registry.metrics(), /trading_commands_given_up_total{[^}]*} 1/);
});

test("a journal that cannot be understood keeps the executor from starting, and the record is named", () => {
  const recovery = new Recovery("near-intents", () => undefined);
  const broken = { ...record(Buffer.from("{")), topic: "exec.journal", partition: 2, offset: "17" };
  assert.throws(() => recovery.take(broken), /exec\.journal, partition 2, offset 17.*does not start/);
});
