/**
 * Several executors of one venue on a real Kafka with one broker: partitions change hands in the middle of commands,
 * and whoever was fenced commits nothing more.
 */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { startKafka, type LabKafka } from "../lab/kafka/index.ts";
import { controlRecord } from "../services/bus/control.ts";
import { connectKafka, type Kafka } from "../services/bus/kafka.ts";
import { readPartition } from "../services/bus/partition-log.ts";
import { startProducer, type BatchingProducer } from "../services/bus/producer.ts";
import { createTopics } from "../services/bus/topics.ts";
import { openTransactionalProducer, TransactionLostError } from "../services/bus/transaction.ts";
import { add } from "../services/core/decimal.ts";
import { encodeEvent, type Event } from "../services/core/envelope.ts";
import { decodeEvent, newEvent, type EventType, type PayloadOf } from "../services/core/events.ts";
import type { ExecutionVenue, ReportedFill, Settlement } from "../services/core/execution-venue.ts";
import { derivedEventId } from "../services/core/ids.ts";
import { createLogger } from "../services/core/log.ts";
import { startService, type RunningService } from "../services/core/service.ts";
import { testContext } from "../services/core/testing.ts";
import type { ExecuteTrade, TradeResult } from "../services/core/trading.ts";
import { journalRecord } from "../services/execution/journal.ts";
import { riskVariables } from "../services/execution/risk.ts";
import { startExecutor } from "../services/execution/service.ts";
import { until } from "./until.ts";

const venueName = "near-intents";
const partitions = [0, 1, 2];
const logger = createLogger({ service: "test", level: "fatal" });

/** What the venue has been sent, by all executors. */
class Book {
  readonly calls: { id: string; by: string }[] = [];
  /** While set, the venue takes orders and does not answer. */
  gate: Promise<void> = Promise.resolve();
  open: () => void = () => undefined;
  hold(): void {
    this.gate = new Promise((resolve) => (this.open = resolve));
  }
  has(id: string): boolean {
    return this.calls.some((call) => call.id === id);
  }
}

/** A venue whose orders are filled as soon as they are in the book. */
function venueOf(book: Book, by: string): ExecutionVenue {
  return {
    name: venueName,
    graceMs: 100,
    prepare: (command) => ({
      reference: { order: command.command_id },
      symbols: ["a", "b"],
      notional: undefined,
      submit: async () => {
        book.calls.push({ id: command.command_id, by });
        await book.gate;
        return { outcome: "accepted" };
      },
    }),
    settle: (command): Promise<Settlement> =>
      Promise.resolve(
        book.has(command.command_id)
          ? { status: "FILLED", filled: { kind: "swap", amount_in: "11", amount_out: "10" }, reference: {} }
          : {
              status: "EXPIRED",
              reason: { code: "not_found", message: "no such order" },
              filled: { kind: "swap", amount_in: "0", amount_out: "0" },
              reference: {},
            },
      ),
    close: () => Promise.resolve(),
  };
}

let directory: string;
let broker: LabKafka;
let kafka: Kafka;
let producer: BatchingProducer;
const book = new Book();
const context = testContext();
const running = new Map<string, RunningService>();

before(async () => {
  directory = await mkdtemp(path.join(tmpdir(), "executors-"));
  broker = await startKafka({ directory, clusterId: "ZXhlY3V0b3JzLXRlc3QwMQ", brokers: 1 });
  kafka = connectKafka({ brokers: broker.brokers, clientId: "test", logger });
  const admin = kafka.admin();
  await admin.connect();
  await createTopics(admin, { businessDate: "2025-10-14", replicationFactor: 1, minInsyncReplicas: 1 });
  await admin.disconnect();
  producer = await startProducer(kafka, context);
});
after(async () => {
  book.open();
  await Promise.all([...running.values()].map((service) => service.stop()));
  await context.stop();
  await broker.stop();
  await rm(directory, { recursive: true, force: true });
});

async function start(name: string, venue = venueOf(book, name)): Promise<RunningService> {
  const service = await startService(
    {
      variables: riskVariables,
      start: (own, limits) => startExecutor(own, () => venue, { limits }),
    },
    {
      environment: {
        SERVICE_NAME: `executor-${venue.name}`,
        HTTP_PORT: "0",
        STACK: "dev",
        CLUSTER_ID: "test",
        BUSINESS_DATE: "2025-10-14",
        KAFKA_BROKERS: broker.brokers.join(","),
        LOG_LEVEL: process.env["TEST_LOG_LEVEL"] ?? "fatal",
      },
    },
  );
  running.set(name, service);
  return service;
}

let serial = 0;

function newCommand(): Event<ExecuteTrade> {
  serial += 1;
  const id = derivedEventId("cmd.execute_trade", String(serial));
  const at = new Date().toISOString();
  return newEvent("cmd.execute_trade", {
    event_id: id,
    venue: venueName,
    observed_at: at,
    ingested_at: at,
    correlation_id: id,
    payload: {
      command_id: id,
      idempotency_key: `test:${serial}`,
      strategy: "test",
      venue: venueName,
      deadline: new Date(Date.now() + 30_000).toISOString(),
      limits: { max_amount_out: "10" },
      instruction: {
        kind: "answer_swap",
        quote_id: String(serial),
        asset_in: "a",
        asset_out: "b",
        amount_in: "11",
        amount_out: "10",
        exact: "in",
      },
    },
  });
}

/** Sends commands to every partition. @returns their ids. */
async function send(count: number): Promise<string[]> {
  const commands = partitions.flatMap((partition) =>
    Array.from({ length: count }, () => ({ partition, command: newCommand() })),
  );
  await producer.sendAll(
    commands.map(({ partition, command }) => ({
      topic: "cmd.execute_trade",
      key: "k",
      partition,
      value: encodeEvent(command),
    })),
  );
  return commands.map(({ command }) => command.event_id);
}

async function read<Type extends EventType>(type: Type): Promise<PayloadOf<Type>[]> {
  const found: PayloadOf<Type>[] = [];
  for (const partition of partitions) {
    await readPartition({
      kafka,
      // These topics are called as the type of their events.
      topic: type,
      partition,
      signal: context.signal,
      logger,
      onRecord: ({ value }) => void found.push(decodeEvent(type, value).payload),
    });
  }
  return found;
}

const results = () => read("exec.trade_result");
const journal = () => read("exec.journal");
const reconciliations = () => read("exec.reconciliation");

/** Waits for a result of each command, and that there is no second one. */
async function ended(ids: readonly string[]): Promise<TradeResult[]> {
  const wanted = new Set(ids);
  const found = await until("a result of each command", async () => {
    const all = (await results()).filter(({ command_id }) => wanted.has(command_id));
    return new Set(all.map(({ command_id }) => command_id)).size === wanted.size ? all : undefined;
  });
  assert.equal(found.length, ids.length, "one result each");
  return found;
}

const callsOf = (ids: readonly string[]) => book.calls.filter(({ id }) => ids.includes(id));

test("one executor takes all partitions; INTENT and the end are committed in order, the result with the end", async () => {
  await start("first");
  const ids = await send(20);
  const found = await ended(ids);
  assert.ok(found.every(({ status }) => status === "FILLED"));
  assert.equal(callsOf(ids).length, ids.length);
  const entries = await journal();
  for (const id of ids) {
    const states = entries.filter(({ command_id }) => command_id === id).map(({ state }) => state);
    assert.equal(states[0], "INTENT");
    assert.equal(states.at(-1), "FILLED");
  }
});

test("a second executor gets partitions in the middle of commands: each is sent once and ends once", async () => {
  book.hold();
  const ids = await send(5);
  await until("orders at the venue", () => callsOf(ids).length === ids.length);
  const joining = start("second");
  // The first one keeps its partitions until the venue has answered what is under way.
  book.open();
  await joining;
  const more = await send(20);
  const found = await ended([...ids, ...more]);
  assert.ok(found.every(({ status }) => status === "FILLED"));
  assert.equal(callsOf([...ids, ...more]).length, ids.length + more.length);
  assert.deepEqual(new Set(callsOf(more).map(({ by }) => by)), new Set(["first", "second"]));
});

test("a fenced owner commits neither INTENT nor result, sends nothing, and takes the partition again when it is its own", async () => {
  const abandoned = newCommand();
  const before = (await journal()).reduce((highest, { epoch }) => Math.max(highest, epoch), 0);
  // Somebody takes partition 1 without the group's knowledge, writes an INTENT and dies.
  const intruder = await openTransactionalProducer({
    kafka,
    transactionalId: "executor-near-intents-1",
    partitions: [{ topic: "exec.journal", partition: 1 }],
    context: { logger, metrics: context.metrics },
    signal: context.signal,
  });
  const intent = {
    state: "INTENT" as const,
    epoch: before + 1,
    at: new Date().toISOString(),
    command: abandoned.payload,
    reference: { order: abandoned.event_id },
  };
  await intruder.send([journalRecord(abandoned, 1, intent)]);
  const command = newCommand();
  await producer.send({ topic: "cmd.execute_trade", key: "k", partition: 1, value: encodeEvent(command) });
  // The owner learns of it with this command, asks the group, and begins anew; so it is the intruder that is fenced then.
  const found = await ended([command.event_id, abandoned.event_id]);
  await assert.rejects(
    intruder.send([journalRecord(abandoned, 1, { ...intent, state: "UNKNOWN" })]),
    (error) => {
      assert.ok(error instanceof TransactionLostError);
      return error.fenced;
    },
  );
  await intruder.close();
  const byId = new Map(found.map((result) => [result.command_id, result]));
  assert.equal(byId.get(command.event_id)?.status, "FILLED");
  const given = byId.get(abandoned.event_id);
  assert.deepEqual([given?.status, given?.reason?.code], ["EXPIRED", "given_up"]);
  assert.equal(book.has(abandoned.event_id), false, "an INTENT that was found is never sent");
  assert.equal(callsOf([command.event_id]).length, 1);
  const entries = (await journal()).filter(({ command_id }) => command_id === command.event_id);
  assert.deepEqual(new Set(entries.map(({ epoch }) => epoch)), new Set([before + 2]));
});

test("the account is compared with what the day began with; a mismatch stops trading until it is released", async () => {
  const shares = new Map([["AAPL", "7"]]);
  let report: (fill: ReportedFill) => void = () => undefined;
  const venue: ExecutionVenue = {
    name: "alpaca",
    graceMs: 0,
    prepare: ({ command_id }) => ({
      reference: { client_order_id: command_id },
      symbols: ["AAPL"],
      notional: "100",
      submit: () => Promise.resolve({ outcome: "accepted" }),
    }),
    settle: (command) => {
      const isBuy = command.instruction.kind === "place_order" && command.instruction.side === "buy";
      if (!isBuy) {
        const reason = { code: "canceled", message: "" };
        return Promise.resolve({
          status: "CANCELED",
          reason,
          filled: { kind: "order", quantity: "0" },
          reference: {},
        });
      }
      shares.set("AAPL", add(shares.get("AAPL") ?? "0", "2"));
      return Promise.resolve({ status: "FILLED", filled: { kind: "order", quantity: "2" }, reference: {} });
    },
    account: () =>
      Promise.resolve({
        cash: "1000",
        positions: [...shares].map(([symbol, quantity]) => ({ symbol, quantity })),
        open_orders: [],
      }),
    clock: () => Promise.resolve({ now: Date.now(), isOpen: true }),
    onFill: (listener) => (report = listener),
    close: () => Promise.resolve(),
  };
  const order = (side: "buy" | "sell") => {
    const event = newCommand();
    const { payload } = event;
    return {
      ...event,
      venue: "alpaca",
      payload: {
        ...payload,
        venue: "alpaca",
        limits: { max_notional: "100" },
        instruction: {
          kind: "place_order" as const,
          symbol: "AAPL",
          side,
          quantity: "2",
          order_type: "market" as const,
          time_in_force: "day" as const,
        },
      },
    };
  };
  const trade = async (side: "buy" | "sell" = "buy") => {
    const command = order(side);
    await producer.send({ topic: "cmd.execute_trade", key: "k", partition: 2, value: encodeEvent(command) });
    return (await ended([command.event_id]))[0];
  };
  const kinds = async () => (await reconciliations()).map(({ kind }) => kind);
  await start("alpaca", venue);
  assert.equal((await trade())?.status, "FILLED");
  assert.deepEqual(await kinds(), ["account_baseline"]);
  const late = await trade("sell");
  assert.equal(late?.status, "CANCELED");
  const fill: ReportedFill = {
    orderId: late.command_id,
    filled: { kind: "order", quantity: "1", average_price: "10" },
    reference: {},
  };
  report(fill);
  report(fill);
  await until("a late fill", async () => (await kinds()).includes("late_fill"));
  const said = await reconciliations();
  assert.deepEqual(
    said.map((each) => [each.kind, each.kind === "late_fill" && each.command_id]),
    [
      ["account_baseline", false],
      ["late_fill", late.command_id],
    ],
  );
  await running.get("alpaca")?.stop();

  // All is as the fills say: 7 + 2. Then somebody sells one by hand.
  await start("alpaca", venue);
  await until("a comparison", async () => (await kinds()).includes("account_matched"));
  await running.get("alpaca")?.stop();
  shares.set("AAPL", "8");
  await start("alpaca", venue);
  await until("a mismatch", async () => (await kinds()).includes("account_mismatch"));
  const denied = await trade();
  assert.deepEqual([denied?.status, denied?.reason?.code], ["DENIED", "account_mismatch"]);
  const release = {
    type: "kill_switch",
    state: "released",
    scope: "alpaca",
    reason: "looked at",
    by: "test",
    at: new Date().toISOString(),
  } as const;
  await producer.send(controlRecord(release, "test"));
  await until("trading again", async () => (await trade())?.status === "FILLED");
  await running.get("alpaca")?.stop();

  // What was looked at is not held against the account again.
  await start("alpaca", venue);
  await until("a new baseline", async () => (await kinds()).at(-1) === "account_baseline");
  assert.equal((await trade())?.status, "FILLED");
  assert.equal((await kinds()).filter((kind) => kind === "account_mismatch").length, 1);
});

test("when one leaves, the other takes its partitions over", async () => {
  await running.get("first")?.stop();
  running.delete("first");
  const ids = await send(5);
  assert.ok((await ended(ids)).every(({ status }) => status === "FILLED"));
  assert.deepEqual(new Set(callsOf(ids).map(({ by }) => by)), new Set(["second"]));
});
