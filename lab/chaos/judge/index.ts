/** The judgement of a whole run, from what stands on the topics at its end, what was seen before, and the venues' books. */
import type { ReceivedRecord } from "../../../services/bus/record.ts";
import type { LogRecord } from "../../../services/bus/kafka-log.ts";
import type { Event } from "../../../services/core/envelope.ts";
import type { RawMessage } from "../../../services/core/market-data.ts";
import { topics } from "../../../services/bus/topics.ts";
import { Reactor } from "../../../services/strategies/reactor.ts";
import type { Order } from "../../venues/alpaca/order.ts";
import type { IntentBook } from "../../venues/near/auction.ts";
import type { Market } from "../load.ts";
import { longLivedDummy } from "../long-lived-dummy.ts";
import type { PoisonRecord } from "../poison.ts";
import type { Records } from "../tap.ts";
import { names } from "../world.ts";
import { type CommandVerdict, judgeCommands } from "./commands.ts";
import { decode, place, type Placed } from "./decode.ts";
import { type Finding, groupBy } from "./finding.ts";
import { judgeLetters } from "./letters.ts";
import { judgeRaw, type RawVerdict } from "./raw.ts";
import { judgeRepeats, judgeStage } from "./stages.ts";

/** All that is known of a run. */
export interface Evidence {
  /** What stands on the topics at the end. */
  records: Records;
  /** What the tap saw while the run went on. */
  seen: Records;
  /** What went wrong with the tap's reading. */
  tapMistakes: readonly string[];
  poison: readonly PoisonRecord[];
  market: Market;
  /** When each ingestor was killed, by raw topic, milliseconds since the epoch. */
  kills: Readonly<Record<string, readonly number[]>>;
  /** Until then processes were only replaced in order, milliseconds since the epoch. */
  orderlyUntil: number;
  orders: readonly Order[];
  repeatedOrders: number;
  near: IntentBook;
  /** When an executor of a venue stood still, milliseconds since the epoch. */
  freezes: readonly { venue: string; from: number; to: number }[];
}

/** What was found. */
export interface Verdict extends CommandVerdict {
  raw: Record<string, Pick<RawVerdict, "events" | "sessions" | "unacknowledged">>;
}

/** Judges a run. */
export function judge(evidence: Evidence): Verdict {
  const { records } = evidence;
  const of = (topic: string): readonly LogRecord[] => records.get(topic) ?? [];
  const poison = new Set(evidence.poison.map(place));

  const rawNear = decode(["raw.near-intents.quote"], of(names.rawNear), poison);
  const rawAlpaca = decode(["raw.alpaca.stock"], of(names.rawAlpaca), poison);
  const demands = decode(["norm.swap_demand", "norm.canary"], of(topics.swapDemand.name));
  const trades = decode(
    ["norm.stock_trade", "norm.stock_trade_correction", "norm.stock_trade_cancel", "norm.canary"],
    of(topics.stockTrade.name),
  );
  const commands = decode(["cmd.execute_trade"], of(names.commands), poison);
  const journal = decode(["exec.journal"], of(names.journal));
  const results = decode(["exec.trade_result"], of(names.results));
  const reconciliation = decode(["exec.reconciliation"], of(names.reconciliation));

  const verdict: Verdict = {
    ...judgeCommands({
      commands: commands.events,
      journal: journal.events,
      results: results.events,
      reconciliation: reconciliation.events,
      orders: evidence.orders,
      repeatedOrders: evidence.repeatedOrders,
      near: evidence.near,
      freezes: evidence.freezes,
    }),
    raw: {},
  };
  const { violations } = verdict;
  for (const { findings } of [
    rawNear,
    rawAlpaca,
    demands,
    trades,
    commands,
    journal,
    results,
    reconciliation,
  ])
    violations.push(...findings);
  violations.push(...judgeLetters(of(names.deadLetters), evidence.poison));
  for (const mistake of evidence.tapMistakes)
    verdict.lost.push({ what: "log_was_cut", subject: mistake.split(":")[0] ?? "", detail: mistake });

  for (const [topic, events] of [
    [names.rawNear, rawNear.events],
    [names.rawAlpaca, rawAlpaca.events],
  ] as const) {
    const raw = judgeRaw({
      topic,
      events,
      seen: idsSeen(evidence.seen.get(topic) ?? [], poison),
      kills: evidence.kills[topic] ?? [],
      ...evidence.market.messages(topic),
    });
    verdict.raw[topic] = {
      events: raw.events,
      sessions: raw.sessions,
      unacknowledged: raw.unacknowledged,
    };
    verdict.lost.push(...raw.lost);
    violations.push(...raw.duplicates);
  }

  const causes = (placed: readonly Placed<Event>[]) =>
    new Set(placed.map(({ event }) => event.causation_id ?? ""));
  const ids = (placed: readonly Placed<Event<RawMessage>>[]) =>
    new Set(placed.map(({ event }) => event.event_id));
  violations.push(
    ...judgeStage("normalize-near-intents", ids(rawNear.events), causes(demands.events)),
    ...judgeStage("normalize-alpaca", ids(rawAlpaca.events), causes(trades.events)),
    ...judgeStage(
      "strategy-dummy",
      expectedCommands(records),
      new Set(commands.events.map(({ event }) => event.event_id)),
    ),
  );
  for (const { events } of [demands, trades, commands])
    violations.push(...judgeRepeats(events, evidence.orderlyUntil));
  return verdict;
}

/** Ids of the events that records hold, poison left out. */
function idsSeen(records: readonly LogRecord[], poison: ReadonlySet<string>): Set<string> {
  const { events } = decode(["raw.near-intents.quote", "raw.alpaca.stock"], records, poison);
  return new Set(events.map(({ event }) => event.event_id));
}

/** The strategy once more, over what its topics hold now: a restarted one must have decided the same. */
function expectedCommands(records: Records): Set<string> {
  const expected = new Set<string>();
  for (const topic of [topics.swapDemand.name, topics.stockTrade.name]) {
    for (const [, own] of groupBy(records.get(topic) ?? [], ({ partition }) => String(partition))) {
      const reactor = new Reactor(longLivedDummy, topic);
      for (const record of own) {
        const outcome = reactor.take(asReceived(record));
        if (outcome.kind !== "reacted") continue;
        for (const { value } of outcome.commands) expected.add(decodeEventId(value));
      }
    }
  }
  return expected;
}

const decodeEventId = (value: Buffer) => (JSON.parse(value.toString("utf8")) as Event).event_id;

function asReceived({ topic, partition, offset, timestamp, key, value }: LogRecord): ReceivedRecord {
  return { topic, partition, offset, timestamp: Number(timestamp), key, value, headers: {} };
}

/** One line a finding, the first of each kind. */
export function describeFindings(findings: readonly Finding[], limit = 20): string[] {
  return [
    ...findings.slice(0, limit).map(({ what, subject, detail }) => `${what} ${subject}: ${detail}`),
    ...(findings.length > limit ? [`and ${findings.length - limit} more`] : []),
  ];
}
