/**
 * A day made for replays: raw events as ingestors write them (made market data, canaries, messages that nobody can
 * read), carried on by the real normalizers and the real strategy, which are killed now and then.
 */
import assert from "node:assert/strict";
import { createSession } from "../../lab/session/index.ts";
import { replayableServices } from "../../ops/archive/replay-services.ts";
import { waitAtRest } from "../../services/archive/replay-rest.ts";
import { canaryRoutes, canaryVenues } from "../../services/bus/stage-canary.ts";
import { createTopics, topicName, topics } from "../../services/bus/topics.ts";
import { encodeEvent } from "../../services/core/envelope.ts";
import { newEvent } from "../../services/core/events.ts";
import { derivedEventId, rawEventId } from "../../services/core/ids.ts";
import { canaryMessageType } from "../../services/core/market-data.ts";
import { instantString, toInstant } from "../../services/core/time.ts";
import type { TestCluster } from "./cluster.ts";
import { type Program, startProgram } from "./processes.ts";
import type { Message } from "./records.ts";
import { type ArchiveWorld, businessDate } from "./world.ts";

/** What the services of the day were told beyond what every service is; a replay has to tell them the same. */
export const daySettings = {
  DUMMY_PERCENT: "40",
  DUMMY_MOVE_BASIS_POINTS: "10",
  // The made market data have the times of real sessions since 2000.
  MAX_EVENT_AGE_DAYS: "36500",
};

/** How long the day is by the times of its records, in milliseconds. */
export const dayMs = 20_000;

const session = "6f9b1f0e-64a0-4c31-9d5c-0a4c1e9f7b11";
const symbols = [
  "AAPL",
  "AMD",
  "AMZN",
  "GOOG",
  "INTC",
  "META",
  "MSFT",
  "NFLX",
  "NVDA",
  "ORCL",
  "SPY",
  "TSLA",
];

interface RawRecord extends Message {
  topic: string;
  timestamp: number;
}

/** Raw records of both venues in the order of their times. */
export async function rawRecords(events: number, beginning: number): Promise<RawRecord[]> {
  const { alpacaMessages, nearQuotes } = await createSession({ events, seed: 5 });
  let sequence = 0;
  const stockTopic = topicName(topics.stockStream, businessDate);
  const total = alpacaMessages.length + nearQuotes.length;
  const timeOf = (number: number): number => beginning + Math.floor((number * dayMs) / total);
  const raw = (
    type: "raw.alpaca.stock" | "raw.near-intents.quote",
    at: number,
    message: { text: string; messageType: string | null; observedAt?: string },
  ): Buffer => {
    const id = rawEventId(session, sequence);
    const ingested_at = toInstant(at);
    return encodeEvent(
      newEvent(type, {
        event_id: id,
        venue: type === "raw.alpaca.stock" ? "alpaca" : "near-intents",
        observed_at: message.observedAt ?? ingested_at,
        ingested_at,
        payload: { session_id: session, sequence: sequence++, message_type: message.messageType },
        raw: message.text,
        correlation_id: id,
      }),
    );
  };
  const records: RawRecord[] = alpacaMessages.map((text, index) => {
    const timestamp = timeOf(Math.floor((index * total) / alpacaMessages.length));
    const message = JSON.parse(text) as { T: string; S: string; t?: string };
    const symbol = symbols[Math.floor(index / 40) % symbols.length] ?? message.S;
    const time = instantString.safeParse(message.t);
    const value = raw("raw.alpaca.stock", timestamp, {
      text: text.replace(`"S":${JSON.stringify(message.S)}`, `"S":${JSON.stringify(symbol)}`),
      messageType: message.T,
      ...(time.success ? { observedAt: time.data } : {}),
    });
    return { topic: stockTopic, key: symbol, value, timestamp };
  });
  nearQuotes.forEach((quote, index) => {
    const timestamp = timeOf(Math.floor((index * total) / nearQuotes.length));
    const text = JSON.stringify({
      jsonrpc: "2.0",
      method: "event",
      params: { subscription: "s", data: quote },
    });
    const key = `${quote.defuse_asset_identifier_in}|${quote.defuse_asset_identifier_out}`;
    const value = raw("raw.near-intents.quote", timestamp, { text, messageType: "quote" });
    records.push({
      topic: topics.rawNearIntentsQuote.name,
      key,
      value,
      timestamp,
      headers: { trace: `t${index}` },
    });
  });
  for (const venue of canaryVenues) {
    const route = canaryRoutes[venue];
    for (let partition = 0; partition < route.raw.partitions; partition++) {
      const timestamp = timeOf(total / 2);
      const canaryId = derivedEventId("canary", session, venue, String(partition));
      const text = JSON.stringify({ canary_id: canaryId, sent_at: toInstant(timestamp) });
      const value = raw(route.rawType, timestamp, { text, messageType: canaryMessageType });
      records.push({ topic: topicName(route.raw, businessDate), key: canaryId, partition, value, timestamp });
    }
  }
  for (const topic of [stockTopic, topics.rawNearIntentsQuote.name]) {
    const timestamp = timeOf(total / 3);
    const type = topic === stockTopic ? "raw.alpaca.stock" : "raw.near-intents.quote";
    const unreadable = raw(type, timestamp, { text: '{"T":"t","S":"AAPL","p":"?"}', messageType: "t" });
    records.push(
      { topic, key: "poison", value: "no event", timestamp },
      { topic, key: Buffer.from([0xff, 0]), value: Buffer.from([0xc3, 0x28]), timestamp },
      { topic, key: "poison", value: null, timestamp },
      { topic, key: "AAPL", value: unreadable, timestamp, headers: { trace: Buffer.from([0xff]) } },
      { topic, key: null, value: unreadable, timestamp, partition: 2 },
    );
  }
  return records.sort((a, b) => a.timestamp - b.timestamp);
}

/**
 * Writes the raw records while the services run, and waits until they have carried everything to its end.
 * @param killed names of services that are killed on the way, one after the other, and started again.
 */
export async function playDay(
  world: ArchiveWorld,
  cluster: TestCluster,
  events: number,
  killed: readonly string[],
): Promise<void> {
  await createTopics(world.admin, { businessDate, replicationFactor: 1, minInsyncReplicas: 1 });
  const services = replayableServices(businessDate);
  const running = new Map<string, Program>();
  const start = (name: string, entry: string): Program => {
    const program = startProgram(entry, cluster.environment({ SERVICE_NAME: name, ...daySettings }));
    running.set(name, program);
    return program;
  };
  await Promise.all(services.map(({ name, entry }) => start(name, entry).logged(/"msg":"ready"/)));
  const records = await rawRecords(events, Date.now() - 3_600_000);
  const kills = killed.map((name, index) => ({
    name,
    at: (records.length * (index + 1)) / (killed.length + 1),
  }));
  for (let at = 0; at < records.length; at += 100) {
    const some = records.slice(at, at + 100);
    for (const topic of new Set(some.map((record) => record.topic))) {
      await cluster.records.send(
        topic,
        some.filter((record) => record.topic === topic),
      );
    }
    for (const kill of kills.filter((each) => each.at >= at && each.at < at + 100)) {
      const service = services.find(({ name }) => name === kill.name);
      assert.ok(service, kill.name);
      await running.get(service.name)?.kill();
      start(service.name, service.entry);
    }
  }
  await waitAtRest({
    kafka: world.kafka,
    services,
    onBehind: () => undefined,
    signal: AbortSignal.timeout(120_000),
  });
  for (const program of running.values()) assert.equal((await program.stop()).code, 0);
}
