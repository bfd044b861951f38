import assert from "node:assert/strict";
import { test } from "node:test";
import type { ReceivedRecord } from "../bus/record.ts";
import { encodeEvent, type Event } from "../core/envelope.ts";
import { decodeEvent, newEvent } from "../core/events.ts";
import { derivedEventId } from "../core/ids.ts";
import type { JournalEntry } from "../core/trading.ts";
import { journalRecords } from "./carry-over-load.ts";
import { openCommandSummaries, readCarryOver, writeCarryOver } from "./carry-over.ts";
import type { ClusterArchive } from "./cluster-archive.ts";
import { type Manifest, manifestChecksum } from "./documents.ts";
import { MemoryStore } from "./memory-store.ts";
import { JournalFold } from "./open-commands.ts";
import { claimCarryOver, findPredecessor, loadedDocument } from "./predecessor.ts";
import { planPrune } from "./prune.ts";
import type { ArchiveStore } from "./store.ts";

const at = "2025-10-14T20:00:00.000Z";
const identity = (clusterId: string, businessDate = "2025-10-14") => ({
  stack: "dev",
  businessDate,
  clusterId,
});

function entry(index: number, state: JournalEntry["state"], partition = 3): ReceivedRecord {
  const command_id = derivedEventId("cmd.execute_trade", String(index));
  const idempotency_key = `s:${index}`;
  const strategy = "s";
  const filled = { kind: "order", quantity: "2", average_price: "10" } as const;
  const command = {
    command_id,
    idempotency_key,
    strategy,
    venue: "alpaca",
    deadline: "2025-10-16T20:00:00.000Z",
    limits: { max_notional: "1000" },
    instruction: {
      kind: "place_order",
      symbol: "AAPL",
      side: "buy",
      quantity: "5",
      order_type: "limit",
      limit_price: "10",
      time_in_force: "gtc",
    },
  } as const;
  const result = { command_id, idempotency_key, strategy, filled, reference: {}, completed_at: at };
  const payload: JournalEntry = { command_id, idempotency_key, state, epoch: 7, at };
  if (state === "INTENT") Object.assign(payload, { command, reference: { client_order_id: command_id } });
  if (state === "FILLED") Object.assign(payload, { command, result: { ...result, status: "FILLED" } });
  if (state === "CARRIED_OVER") Object.assign(payload, { filled });
  const event = newEvent("exec.journal", {
    event_id: derivedEventId("exec.journal", command_id, state, "7"),
    venue: "alpaca",
    observed_at: at,
    ingested_at: at,
    payload,
    causation_id: command_id,
    correlation_id: command_id,
  });
  const value = encodeEvent(event);
  return {
    topic: "exec.journal",
    partition,
    offset: "0",
    timestamp: Date.parse(at),
    key: null,
    value,
    headers: {},
  };
}

function fold(...records: ReceivedRecord[]): JournalFold {
  const folded = new JournalFold();
  for (const record of records) folded.take(record);
  return folded;
}

const carried = (index: number): ReceivedRecord[] => [
  entry(index, "INTENT"),
  entry(index, "SUBMITTED"),
  entry(index, "CARRIED_OVER"),
];

test("only what an executor left at the venue is carried over; whatever else has not ended is named", async () => {
  const open = fold(
    ...carried(1),
    entry(2, "INTENT"),
    entry(3, "INTENT"),
    entry(3, "UNKNOWN"),
    entry(4, "INTENT"),
    entry(4, "SUBMITTED"),
    entry(5, "INTENT"),
    entry(5, "FILLED"),
    { ...entry(6, "INTENT"), value: Buffer.from("not an event"), offset: "99" },
  );
  const states = openCommandSummaries(open).map(({ state, carriedOver }) => `${state} ${carriedOver}`);
  assert.deepEqual(states.sort(), [
    "carried_over true",
    "intent false",
    "submitted false",
    "unknown false",
    "unreadable false",
  ]);
  assert.ok(openCommandSummaries(open).some(({ commandId }) => /partition 3, offset 99/.test(commandId)));

  const archive = new MemoryStore().archive(identity("a"));
  const noted = await writeCarryOver(archive, open.open);
  assert.equal(noted?.commands, 1);
  assert.deepEqual(await writeCarryOver(archive, open.open), noted, "the same commands, the same bytes");
  const read = await readCarryOver(archive, { carryOver: noted });
  assert.deepEqual(
    read?.commands.map(({ command_id, partition, state, filled }) => ({
      command_id,
      partition,
      state,
      filled,
    })),
    [
      {
        command_id: derivedEventId("cmd.execute_trade", "1"),
        partition: 3,
        state: "SUBMITTED",
        filled: { kind: "order", quantity: "2", average_price: "10" },
      },
    ],
  );
  const damaged = new MemoryStore().archive(identity("b"));
  await assert.rejects(readCarryOver(damaged, { carryOver: noted }), /carry-over.json is missing/);
  await writeCarryOver(damaged, open.open);
  await assert.rejects(readCarryOver(damaged, { carryOver: noted }), /the manifest says/);
  assert.equal(await writeCarryOver(damaged, fold(entry(5, "INTENT"), entry(5, "FILLED")).open), null);
});

test("the next journal begins with the order as a former owner's, with the lowest epoch and the same bytes each time", async () => {
  const archive = new MemoryStore().archive(identity("a"));
  const noted = await writeCarryOver(archive, fold(...carried(1)).open);
  const [command] = (await readCarryOver(archive, { carryOver: noted }))?.commands ?? [];
  assert.ok(command);
  const records = journalRecords(command, "next", 12);
  assert.deepEqual(journalRecords(command, "next", 12), records);
  assert.ok(records.every(({ key, partition }) => key === command.command_id && partition === 3));
  assert.equal(journalRecords(command, "next", 2)[0]?.partition, 1);
  const events: Event<JournalEntry>[] = records.map(({ value }) => decodeEvent("exec.journal", value));
  assert.deepEqual(
    events.map(({ payload: { state, epoch } }) => [state, epoch]),
    [
      ["INTENT", 1],
      ["SUBMITTED", 1],
    ],
  );
  const before = decodeEvent("exec.journal", entry(1, "INTENT").value);
  assert.deepEqual(events[0]?.payload, { ...before.payload, epoch: 1 });
  assert.ok(events.every(({ causation_id }) => causation_id === before.causation_id));
  const ids = [
    before,
    ...events,
    ...journalRecords(command, "other", 12).map(({ value }) => decodeEvent("exec.journal", value)),
  ];
  assert.equal(new Set(ids.map(({ event_id }) => event_id)).size, 5, "no id is used for other bytes");
});

/** Writes a cluster's documents. */
async function cluster(
  store: MemoryStore,
  clusterId: string,
  hour: number,
  {
    sealed = false,
    loaded = false,
    override = false,
    businessDate = "2025-10-14",
    carryOver = null as Manifest["carryOver"],
  } = {},
): Promise<ClusterArchive> {
  const archive = store.archive(identity(clusterId, businessDate));
  const openedAt = `${businessDate}T${String(hour).padStart(2, "0")}:00:00.000Z`;
  await archive.write("opened.json", { ...archive.identity, kafkaClusterId: clusterId, openedAt });
  if (loaded) {
    const commands = ["c"];
    await archive.write(loadedDocument, {
      ...archive.identity,
      loadedAt: openedAt,
      predecessor: null,
      commands,
      unknown: [],
    });
  }
  if (override) await archive.write("data-loss-override.json", { overriddenAt: openedAt, by: "a@b" });
  if (sealed) {
    const content: Omit<Manifest, "checksum"> = {
      format: 2,
      ...archive.identity,
      kafkaClusterId: clusterId,
      generation: 1,
      requestId: "r",
      sealedAt: openedAt,
      versions: {},
      topics: [],
      groups: [],
      totals: { topics: 0, partitions: 0, objects: 0, records: 0, bytes: 0 },
      evidence: [],
      carryOver,
      losses: [],
    };
    await archive.write("manifest.json", { ...content, checksum: manifestChecksum(content) });
  }
  return archive;
}

test("the predecessor is the latest cluster opened before whose services may have run", async () => {
  const store = new MemoryStore();
  const found = async (own: ClusterArchive, openedAt: string) => {
    const { found: predecessor, unknown } = await findPredecessor(own, openedAt);
    return [predecessor?.archive.identity.clusterId, unknown.length];
  };
  const own = await cluster(store, "own", 18);
  const openedAt = "2025-10-14T18:00:00.000Z";
  assert.deepEqual(await found(own, openedAt), [undefined, 0]);
  await cluster(store, "day-before", 9, { sealed: true, loaded: true, businessDate: "2025-10-13" });
  assert.deepEqual(await found(own, openedAt), ["day-before", 0]);
  await cluster(store, "later", 19, { sealed: true, loaded: true });
  await store.archive(identity("never-opened")).write("seal-request.json", {});
  await store.archive({ ...identity("x"), stack: "prod" }).write("opened.json", {});
  assert.deepEqual(await found(own, openedAt), ["day-before", 0]);
  await cluster(store, "given-up", 12, { override: true });
  assert.deepEqual(await found(own, openedAt), ["day-before", 0], "its services never ran, and it is gone");
  await cluster(store, "same-day", 11, { sealed: true, loaded: true });
  assert.deepEqual(await found(own, openedAt), ["same-day", 0]);
  await cluster(store, "maybe-alive", 13);
  assert.deepEqual(await found(own, openedAt), ["maybe-alive", 0]);
  await cluster(store, "traded-and-given-up", 14, { loaded: true, override: true });
  assert.deepEqual(await found(own, openedAt), ["traded-and-given-up", 0]);
  await store.put("dev/2025-10-14/broken/opened.json", "not JSON");
  assert.deepEqual(await found(own, openedAt), ["traded-and-given-up", 1]);
});

test("what is carried over is one cluster's; a claim counts until its cluster is gone without having loaded", async () => {
  const store = new MemoryStore();
  const predecessor = await cluster(store, "predecessor", 9, { sealed: true, loaded: true });
  await cluster(store, "first", 12);
  assert.equal(await claimCarryOver(predecessor, identity("first")), undefined);
  assert.equal(await claimCarryOver(predecessor, identity("first")), undefined, "again, after a crash");
  assert.match((await claimCarryOver(predecessor, identity("second"))) ?? "", /neither sealed nor given up/);
  await cluster(store, "first", 12, { override: true });
  assert.equal(await claimCarryOver(predecessor, identity("second")), undefined);
  await cluster(store, "first", 12, { override: true, loaded: true });
  assert.match((await claimCarryOver(predecessor, identity("second"))) ?? "", /first .*and has loaded them/);
});

test("a claim alone lets nobody prune what is carried over: its cluster may be gone without having loaded", async () => {
  const store = new MemoryStore();
  const archive = store.archive(identity("leaves-an-order"));
  const carryOver = await writeCarryOver(archive, fold(...carried(1)).open);
  await cluster(store, "leaves-an-order", 9, { sealed: true, loaded: true, carryOver });
  const reasons = async (): Promise<string[]> => {
    const selection = { stack: "dev", before: "2025-10-15" };
    const decisions = await planPrune(
      store as unknown as ArchiveStore,
      selection,
      new AbortController().signal,
    );
    const mine = decisions.find(({ identity }) => identity.clusterId === archive.identity.clusterId);
    return mine?.reasons ?? ["it is not looked at"];
  };
  const waiting = /carries over \d+ orders that no later cluster has loaded/;
  assert.match((await reasons()).join(), waiting);
  await cluster(store, "next", 12, { override: true });
  assert.equal(await claimCarryOver(archive, identity("next")), undefined);
  assert.match((await reasons()).join(), waiting);
  await cluster(store, "next", 12, { loaded: true });
  assert.deepEqual(await reasons(), []);
});
