/**
 * A resting order over the night: left by one cluster's executor, sealed, taken over by the next cluster, filled meanwhile.
 * Real Kafka and a real S3 server; the venue is the lab's Alpaca, whose book of orders is the judge.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { pino } from "pino";
import WebSocket from "ws";
import { type LabAlpaca, startAlpaca } from "../../lab/venues/alpaca/index.ts";
import { type CarryOver, carryOverSchema } from "../../services/archive/carry-over.ts";
import { type CarryOverLoaded, carryOverLoadedSchema } from "../../services/archive/predecessor.ts";
import { readPartition } from "../../services/bus/partition-log.ts";
import { topics } from "../../services/bus/topics.ts";
import { encodeEvent, type Event } from "../../services/core/envelope.ts";
import { decodeEvent, newEvent } from "../../services/core/events.ts";
import { derivedEventId } from "../../services/core/ids.ts";
import { type RunningService, startService } from "../../services/core/service.ts";
import type { ExecuteTrade, JournalEntry, PlaceOrder, TradeResult } from "../../services/core/trading.ts";
import { riskVariables } from "../../services/execution/risk.ts";
import { closingVariables, startExecutor } from "../../services/execution/service.ts";
import { alpacaExecutionVariables, openAlpacaVenue } from "../../services/venues/alpaca/execute.ts";
import type { TestCluster } from "./cluster.ts";
import { until } from "../until.ts";
import { startProgram } from "./processes.ts";
import { ArchiveWorld } from "./world.ts";

const logger = pino({ level: "silent" });
const { signal } = new AbortController();
const dayMs = 86_400_000;
let world: ArchiveWorld;
let venue: LabAlpaca;
let feed: WebSocket;
const running: RunningService[] = [];

before(async () => {
  [world, venue] = await Promise.all([ArchiveWorld.start(), startAlpaca({ market: "replay" })]);
  feed = new WebSocket(venue.stream);
  await new Promise((resolve) => feed.once("open", resolve));
  feed.send(JSON.stringify({ action: "auth", key: venue.keyId, secret: venue.secret }));
  feed.send(JSON.stringify({ action: "subscribe", trades: ["AAPL"] }));
  await price("100");
});
after(async () => {
  feed.terminate();
  for (const service of running) await service.stop();
  await Promise.all([world.stop(), venue.close()]);
});

/** An order that fills at once. */
const atMarket: Partial<PlaceOrder> = {
  order_type: "market",
  limit_price: undefined,
  reference_price: "100",
  time_in_force: "day",
};

/** The market trades at a price. */
async function price(p: string): Promise<void> {
  await venue.play([
    {
      T: "t",
      S: "AAPL",
      i: 1,
      x: "V",
      p: Number(p),
      s: 1_000,
      t: new Date().toISOString(),
      c: ["@"],
      z: "C",
    },
  ]);
}

function command(name: string, deadlineMs: number, order: Partial<PlaceOrder>): Event<ExecuteTrade> {
  const id = derivedEventId("cmd.execute_trade", name);
  const at = new Date().toISOString();
  return newEvent("cmd.execute_trade", {
    event_id: id,
    venue: "alpaca",
    observed_at: at,
    ingested_at: at,
    correlation_id: id,
    payload: {
      command_id: id,
      idempotency_key: name,
      strategy: "test",
      venue: "alpaca",
      deadline: new Date(Date.now() + deadlineMs).toISOString(),
      limits: { max_notional: "10000" },
      instruction: {
        kind: "place_order",
        symbol: "AAPL",
        side: "buy",
        quantity: "5",
        order_type: "limit",
        limit_price: "90",
        time_in_force: "gtc",
        ...order,
      },
    },
  });
}

async function send(...events: Event<ExecuteTrade>[]): Promise<void> {
  const messages = events.map((event) => ({ key: "alpaca|AAPL", value: encodeEvent(event) }));
  await world.producer.send({ topic: topics.executeTrade.name, messages });
}

async function startDay(cluster: TestCluster): Promise<RunningService> {
  const service = await startService(
    {
      variables: { ...alpacaExecutionVariables, ...riskVariables, ...closingVariables },
      start: (context, config) =>
        startExecutor(context, () => openAlpacaVenue(context, config), {
          limits: config,
          openOrdersAtClose: config.OPEN_ORDERS_AT_CLOSE,
        }),
    },
    {
      environment: cluster.environment({
        SERVICE_NAME: "executor-alpaca",
        LOG_LEVEL: process.env["TEST_LOG_LEVEL"] ?? "fatal",
        ALPACA_REST_URL: venue.rest,
        ALPACA_UPDATES_URL: venue.updates,
        ALPACA_KEY_ID: venue.keyId,
        ALPACA_SECRET_KEY: venue.secret,
        ALPACA_REQUESTS_PER_MINUTE: "10000",
        OPEN_ORDERS_AT_CLOSE: "carry-over",
      }),
    },
  );
  running.push(service);
  return service;
}

async function read<T>(
  topic: "exec.journal" | "exec.trade_result" | "exec.reconciliation",
): Promise<Event<T>[]> {
  const events: Event<T>[] = [];
  for (let partition = 0; partition < topics.journal.partitions; partition++) {
    await readPartition({
      kafka: world.kafka,
      topic,
      partition,
      onRecord: ({ value }) => void events.push(decodeEvent(topic, value) as Event<T>),
      signal,
      logger,
    });
  }
  return events;
}

const states = async (): Promise<string[]> =>
  (await read<JournalEntry>("exec.journal"))
    .map(({ payload }) => `${payload.idempotency_key} ${payload.state}`)
    .sort();
const results = async (): Promise<string[]> =>
  (await read<TradeResult>("exec.trade_result"))
    .map(
      ({ payload }) =>
        `${payload.idempotency_key} ${payload.status} ${payload.filled.kind === "order" ? payload.filled.quantity : "?"}`,
    )
    .sort();

async function prepare(cluster: TestCluster): Promise<CarryOverLoaded> {
  const environment = cluster.environment({ SERVICE_NAME: "prepare-day" });
  const { code, log } = await startProgram("services/apps/prepare-day.ts", environment).ended;
  assert.equal(code, 0, log);
  const loaded = await cluster.archive.read("carry-over-loaded.json", carryOverLoadedSchema);
  assert.ok(loaded);
  return loaded;
}

/** What the venue's book says of each order, by its command's name. */
function book(names: readonly string[]): string[] {
  return venue.orders().map(({ client_order_id, status, filled_qty }) => {
    const name = names.find((each) => derivedEventId("cmd.execute_trade", each) === client_order_id);
    return `${name} ${status} ${filled_qty}`;
  });
}

test("an order that rests at the close is taken over by the next cluster, which reports its fill once and sends nothing", async () => {
  const first = await world.open();
  assert.deepEqual((await prepare(first)).predecessor, null);
  const monday = await startDay(first);
  await send(
    command("market", 60_000, { ...atMarket }),
    command("long", 10 * dayMs, {}),
    command("short", 60_000, {}),
  );
  await until("one is filled and two rest", async () => {
    const all = await states();
    return all.filter((state) => /SUBMITTED|FILLED/.test(state)).length === 4 && all;
  });
  const archiver = first.startArchiver({ DRAINING_SERVICES: "executor-alpaca" });
  const { manifest } = await first.sealed();
  assert.equal(manifest.carryOver?.commands, 1);
  assert.deepEqual(await results(), ["market FILLED 5", "short CANCELED 0"]);
  const carryOver: CarryOver | undefined = await first.archive.read("carry-over.json", carryOverSchema);
  assert.deepEqual(
    carryOver?.commands.map(({ intent, state, filled }) => [intent.payload.idempotency_key, state, filled]),
    [["long", "SUBMITTED", { kind: "order", quantity: "0" }]],
  );
  // Sealed again without a change: the same carry-over.
  assert.deepEqual((await first.sealed()).manifest.carryOver, manifest.carryOver);
  await monday.stop();
  await archiver.kill();
  const names = ["market", "long", "short"];
  assert.deepEqual(book(names), ["market filled 5", "long new 0", "short canceled 0"]);

  await price("80");
  await until("the order is filled over night", () => book(names)[1] === "long filled 5");

  // A second cluster on the same date; its job runs twice.
  const second = await world.open();
  const loaded = await prepare(second);
  const { clusterId, businessDate } = first.archive.identity;
  assert.deepEqual(loaded.predecessor, { clusterId, businessDate });
  assert.deepEqual(loaded.commands, [derivedEventId("cmd.execute_trade", "long")]);
  assert.deepEqual(await prepare(second), loaded);
  await second.removeObjects("carry-over-loaded.json");
  assert.deepEqual((await prepare(second)).commands, loaded.commands);
  assert.deepEqual(await states(), ["long INTENT", "long SUBMITTED"]);

  const tuesday = await startDay(second);
  await until("the fill is reported", async () => (await results()).length > 0);
  // A strategy that sends the same command again, and a command after it: the order of their results tells.
  await send(command("long", 10 * dayMs, {}), command("after", 60_000, { ...atMarket }));
  await until("the last command has ended", async () => (await results()).length > 1);
  assert.deepEqual(await results(), ["after FILLED 5", "long FILLED 5"]);
  assert.deepEqual(book([...names, "after"]), [
    "market filled 5",
    "long filled 5",
    "short canceled 0",
    "after filled 5",
  ]);
  assert.equal(venue.duplicateOrders(), 0);
  const epochs = (await read<JournalEntry>("exec.journal")).map(({ payload }) => payload.epoch);
  assert.equal(Math.min(...epochs), 1);
  await tuesday.stop();

  // The account as the day's baseline has it, and then as it is: no fill is missing and none counts twice.
  const again = await startDay(second);
  const kinds = await until("the account is compared", async () => {
    const found = (await read<{ kind: string }>("exec.reconciliation")).map(({ payload }) => payload.kind);
    return found.length > 1 && found;
  });
  assert.deepEqual(kinds, ["account_baseline", "account_matched"]);
  await again.stop();

  // The second cluster ends unsealed: what became of its orders is not known, and that is said.
  const third = await world.open();
  const unsealed = await prepare(third);
  assert.deepEqual(
    [unsealed.predecessor?.clusterId, unsealed.commands],
    [second.archive.identity.clusterId, []],
  );
  assert.match(
    unsealed.unknown.join("\n"),
    /is unsealed: whether orders of it still rest at a venue is not known/,
  );
});
