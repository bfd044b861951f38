/**
 * The pipeline on a real Kafka with the lab's venues: every stage, poison on the way, an executor that is killed
 * in the middle, and the drain.
 */
import assert from "node:assert/strict";
import { randomBytes, randomUUID } from "node:crypto";
import { after, before, test } from "node:test";
import { generateNearQuotes } from "../lab/session/index.ts";
import { controlRecord, readControl } from "../services/bus/control.ts";
import { deadLetterHeaders } from "../services/bus/dead-letters.ts";
import { compression, connectKafka } from "../services/bus/kafka.ts";
import { sendKillSwitch } from "../services/bus/kill-switch.ts";
import type { ReceivedRecord } from "../services/bus/record.ts";
import { decodeEvent, type PayloadOf, type EventType } from "../services/core/events.ts";
import type { Event } from "../services/core/envelope.ts";
import { createLogger } from "../services/core/log.ts";
import { businessDate, PipelineWorld, serviceNames, type ServiceName } from "./pipeline-world.ts";
import { until } from "./until.ts";

const clusterId = "cGlwZWxpbmUtdGVzdC0wMQ";

let world: PipelineWorld;
before(async () => {
  world = await PipelineWorld.start(clusterId);
});
after(() => world.stop());

async function events<Type extends EventType>(
  topic: string,
  type: Type,
  { skipInvalid = false } = {},
): Promise<Event<PayloadOf<Type>>[]> {
  return (await world.read(topic)).flatMap((record) => {
    try {
      return [decodeEvent(type, record.value)];
    } catch (error) {
      if (skipInvalid) return [];
      throw error;
    }
  });
}

/** Quotes whose answers are decided soon: an order that was never sent expires after its deadline. */
function quotes(seed: number, count: number) {
  const generator = generateNearQuotes(seed);
  return Array.from({ length: count }, () => ({ ...generator.next().value, min_deadline_ms: 3_000 }));
}

const inProcess = serviceNames.filter((name) => name !== "executor-near-intents");

test("a quote becomes a settled trade, once, although the executor is killed in between", async () => {
  for (const name of inProcess) await world.startService(name, { DUMMY_PERCENT: "40" });
  const executor = await world.spawnService("executor-near-intents");

  const playing = world.near.play(quotes(1, 400), { ratePerSecond: 200 });
  await until("some settled trades", () => world.near.book().settled.length >= 30);
  const gone = new Promise((resolve) => executor.once("exit", resolve));
  executor.kill("SIGKILL");
  await gone;
  await world.spawnService("executor-near-intents");
  assert.equal(await playing, 400);

  await until("all quotes normalized", async () => (await world.count("norm.swap_demand")) === 400);
  await until("a result for each command", async () => {
    const commands = await world.count("cmd.execute_trade");
    return commands > 100 && (await world.read("exec.trade_result")).length >= commands;
  });

  const raw = await events("raw.near-intents.quote", "raw.near-intents.quote");
  const demands = await events("norm.swap_demand", "norm.swap_demand");
  const commands = await events("cmd.execute_trade", "cmd.execute_trade");
  const results = await events("exec.trade_result", "exec.trade_result");
  assert.equal(new Set(raw.map(({ event_id }) => event_id)).size, 400);
  assert.deepEqual(
    new Set(demands.map(({ causation_id }) => causation_id)),
    new Set(raw.map(({ event_id }) => event_id)),
  );
  assert.deepEqual(
    results.map(({ payload }) => payload.command_id).sort(),
    commands.map(({ payload }) => payload.command_id).sort(),
    "exactly one result for each command",
  );
  const ids = new Set(raw.map(({ event_id }) => event_id));
  assert.ok(results.every(({ correlation_id }) => ids.has(correlation_id ?? "")));

  const book = world.near.book();
  assert.equal(book.duplicates, 0);
  assert.equal(book.repeats, 0, "nothing is sent to the venue twice");
  const settled = book.settled.map(({ quoteHash }) => quoteHash).sort();
  assert.equal(new Set(settled).size, settled.length);
  const filled = results.filter(({ payload }) => payload.status === "FILLED");
  assert.deepEqual(filled.map(({ payload }) => payload.reference["quote_hash"]).sort(), settled);
});

test("the journal holds an intent before anything else, for every command that was sent", async () => {
  const entries = await events("exec.journal", "exec.journal");
  const states = new Map<string, string[]>();
  for (const { payload } of entries) {
    states.set(payload.command_id, [...(states.get(payload.command_id) ?? []), payload.state]);
  }
  const sent = new Set(world.near.book().settled.map(({ quoteHash }) => quoteHash));
  for (const { payload } of entries) {
    if (sent.has(payload.reference?.["quote_hash"] ?? "")) {
      assert.equal(states.get(payload.command_id)?.[0], "INTENT");
    }
  }
  assert.ok(
    entries.some(({ payload }) => payload.epoch === 2),
    "the second executor has an epoch of its own",
  );
});

/** A raw event as the ingestor writes it, with what is to be wrong about it. */
function rawQuote(wrong: object): Buffer {
  const now = new Date().toISOString();
  const event_id = randomUUID();
  return Buffer.from(
    JSON.stringify({
      event_id,
      event_type: "raw.near-intents.quote",
      venue: "near-intents",
      observed_at: now,
      ingested_at: now,
      schema_version: 1,
      payload: { session_id: randomUUID(), sequence: 0, message_type: "quote" },
      raw: "{}",
      correlation_id: event_id,
      ...wrong,
    }),
  );
}

const years = (count: number): string => new Date(Date.now() + count * 365.25 * 24 * 3_600_000).toISOString();
const raw = "raw.near-intents.quote";

/** Each poison, where it is put, and what its dead letter says of it. */
const poisons: { name: string; topic: string; value: Buffer | null; key?: null; error: RegExp }[] = [
  { name: "broken bytes", topic: raw, value: Buffer.from([0xff, 0x00, 0x7b]), error: /not JSON: .*UTF-8/ },
  { name: "broken JSON", topic: raw, value: Buffer.from('{"half":'), error: /not JSON/ },
  {
    name: "wrong schema",
    topic: raw,
    value: rawQuote({ payload: { sequence: -1 } }),
    error: /payload\.session_id.*payload\.sequence/,
  },
  {
    name: "unknown version",
    topic: raw,
    value: rawQuote({ schema_version: 99 }),
    error: /schema_version is 99/,
  },
  // It compresses well, so that the brokers take it.
  { name: "2 MB", topic: raw, value: Buffer.alloc(2_000_000, "x"), error: /not JSON/ },
  { name: "no key", topic: raw, key: null, value: rawQuote({}), error: /no key/ },
  { name: "no value", topic: raw, value: null, error: /no value/ },
  {
    name: "a clock 10 years ahead",
    topic: raw,
    value: rawQuote({ observed_at: years(10) }),
    error: /days after ingested_at/,
  },
  {
    name: "a clock 10 years behind",
    topic: raw,
    value: rawQuote({ observed_at: years(-10) }),
    error: /days before ingested_at/,
  },
  {
    name: "a command in broken JSON",
    topic: "cmd.execute_trade",
    value: Buffer.from('{"half":'),
    error: /not JSON/,
  },
  {
    name: "a command of 2 MB",
    topic: "cmd.execute_trade",
    value: Buffer.alloc(2_000_000, "x"),
    error: /2000000 bytes/,
  },
  {
    name: "a demand of the wrong type",
    topic: "norm.swap_demand",
    value: rawQuote({}),
    error: /event_type is/,
  },
  {
    name: "a broken result",
    topic: "exec.trade_result",
    value: Buffer.from([0xff, 0x00, 0x7b]),
    error: /not JSON/,
  },
];
const poisonsOn = (topic: string): number => poisons.filter((poison) => poison.topic === topic).length;

test("poison is put aside with its bytes and origin, and the stream goes on", async (t) => {
  const logger = createLogger({ service: "test", level: "fatal" });
  const kafka = connectKafka({ brokers: world.kafka.brokers, clientId: "poison", logger });
  const producer = kafka.producer({ allowAutoTopicCreation: false });
  await producer.connect();
  const places = new Map<string, (typeof poisons)[number]>();
  for (const poison of poisons) {
    const { topic, value, key = "poison" } = poison;
    const [place] = await producer.send({ topic, compression, messages: [{ key, value }] });
    places.set(`${topic} ${place?.partition} ${place?.baseOffset}`, poison);
  }
  await producer.disconnect();
  // One more comes from a venue: larger than a raw event may be, and not to be compressed away.
  const trade = { T: "t", S: "AAPL", i: 1, x: "V", p: 1, s: 1, t: new Date().toISOString(), z: "C" };
  const large = JSON.stringify({ ...trade, c: [randomBytes(1_500_000).toString("base64")] });
  assert.equal(await world.alpaca.play([large]), 1);

  const count = poisons.length + 1;
  await until("the dead letters", async () => (await world.count("dead-letter")) >= count);
  const letters = await world.read("dead-letter");
  assert.equal(letters.length, count);
  const header = (letter: ReceivedRecord, name: keyof typeof deadLetterHeaders) =>
    letter.headers[deadLetterHeaders[name]]?.toString();
  for (const letter of letters) {
    const place = (["topic", "partition", "offset"] as const).map((name) => header(letter, name)).join(" ");
    const poison = places.get(place);
    if (poison === undefined) {
      assert.equal(header(letter, "service"), "ingestion-alpaca-stockstream-api");
      assert.equal(header(letter, "topic"), `stock-stream-${businessDate}`);
      assert.equal(header(letter, "sequence"), "0");
      assert.equal(letter.value?.toString(), large);
      continue;
    }
    places.delete(place);
    await t.test(poison.name, () => {
      assert.ok(letter.value?.equals(poison.value ?? Buffer.alloc(0)));
      assert.match(header(letter, "error") ?? "", poison.error);
      const absent = poison.key === null ? "key" : poison.value === null ? "value" : undefined;
      assert.equal(header(letter, "absent"), absent);
    });
  }
  assert.deepEqual([...places.keys()], []);

  const before = await world.count("norm.swap_demand");
  await world.near.play(quotes(2, 20));
  await until("quotes after the poison", async () => (await world.count("norm.swap_demand")) === before + 20);
});

test("every data message of Alpaca is kept with its exact text", async () => {
  const messages = [
    '{"T":"t","i":96921,"S":"AAPL","x":"D","p":126.550,"s":1,"t":"2025-10-14T13:30:00.123456789Z","c":["@","I"],"z":"C"}',
    '{"T":"t","i":9007199254740993123,"S":"MSFT","x":"V","p":1e2,"s":5,"t":"2025-10-14T13:30:00Z","c":[],"z":"C"}',
    '{"T":"q","S":"AAPL","bx":"U","bp":87.66,"bs":1,"ax":"X","ap":87.68,"as":4,"t":"2025-10-14T13:30:01Z","c":["R"],"z":"C"}',
    '{"T":"b","S":"SPY","o":388.985,"h":389.13,"l":388.975,"c":389.12,"v":49378,"n":461,"vw":389.062639,"t":"2025-10-14T13:30:00Z"}',
  ];
  const sent = await world.alpaca.play(messages);
  assert.equal(sent, messages.length);
  const topic = `stock-stream-${businessDate}`;
  await until("the messages on the topic", async () => (await world.count(topic)) >= sent);
  const stored = await events(topic, "raw.alpaca.stock");
  assert.deepEqual(stored.map(({ raw }) => raw).sort(), [...messages].sort());
  const trade = stored.find(({ raw }) => raw === messages[0]);
  assert.equal(trade?.observed_at, "2025-10-14T13:30:00.123456789Z");
  assert.equal(trade.payload.message_type, "t");
});

test("the kill switch's command stands on the control topic", async () => {
  const order = { state: "engaged", scope: "nobody", reason: "a test", by: "tester" } as const;
  await sendKillSwitch(order, { ...world.environment("result-monitor"), SERVICE_NAME: "ops" });
  const messages = (await world.read("control")).map(readControl);
  const [message] = messages.filter(({ type }) => type === "kill_switch");
  assert.deepEqual({ ...message, at: "" }, { type: "kill_switch", ...order, at: "" });
});

test("on drain every service finishes, in the order of the data's flow, and stays drained", async () => {
  const at = new Date().toISOString();
  await world.near.play(quotes(3, 50));
  await world.producer.send(controlRecord({ type: "drain", requestId: "first", at }, "archiver"));
  const answers = async (requestId: string) =>
    (await world.read("control"))
      .map(readControl)
      .flatMap((message) =>
        message.type === "drained" && message.requestId === requestId ? [message.service] : [],
      );
  await until("all answers", async () => (await answers("first")).length === serviceNames.length);
  const order = await answers("first");
  const position = (name: ServiceName) => order.indexOf(name);
  assert.ok(position("ingest-near-intents") < position("normalize-near-intents"));
  assert.ok(position("normalize-near-intents") < position("strategy-dummy"));
  assert.ok(position("strategy-dummy") < position("executor-near-intents"));
  assert.ok(position("executor-near-intents") < position("result-monitor"));
  const healthy = async (topic: string) => (await world.read(topic)).length - poisonsOn(topic);
  assert.equal(await healthy("norm.swap_demand"), await healthy(raw));
  assert.equal(await healthy("exec.trade_result"), await healthy("cmd.execute_trade"));

  // A service that comes back keeps out, and does not answer twice; a later request is answered by all.
  await world.stopService("ingest-near-intents");
  await world.startService("ingest-near-intents");
  await world.producer.send(controlRecord({ type: "drain", requestId: "second", at }, "archiver"));
  await until("all answers again", async () => (await answers("second")).length === serviceNames.length);
  assert.equal((await answers("first")).length, serviceNames.length);
  const metrics = await world.running.get("ingest-near-intents")?.context.metrics.registry.metrics();
  assert.doesNotMatch(metrics ?? "", /trading_feed_connected{[^}]*} 1/);
});

test("SIGTERM ends a service in order with exit code 0", async () => {
  const executor = world.children.at(-1);
  assert.ok(executor);
  const code = new Promise((resolve) => executor.once("exit", resolve));
  executor.kill("SIGTERM");
  assert.equal(await code, 0);
});
