/** The document of what a cluster costs, with a Hetzner API that is a list and a bucket in memory. */
import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { Decimal } from "decimal.js";
import { MemoryStore } from "../../services/archive/memory-store.ts";
import { ArchiveUnreachableError, type ArchiveStore } from "../../services/archive/store.ts";
import type { HetznerClient } from "../hetzner/client.ts";
import { calendarMonth } from "./billing.ts";
import { readCostDocuments } from "./cost-document.ts";
import { costOf } from "./forecast.ts";
import { recordCost } from "./record.ts";
import { documentedUses } from "./uses.ts";

const location = { name: "fsn1" };
const prices = (hourly: string, monthly: string) => [
  { location: "fsn1", price_hourly: { net: hourly }, price_monthly: { net: monthly } },
];
const server = (id: number, created: string, type = "cpx32") => ({
  id,
  name: `dev-kafka-${id}`,
  labels: { project: "trading", stack: "dev", "business-date": "2026-11-20", "cluster-id": "ClusterA" },
  created,
  status: "running",
  location,
  server_type: { name: type },
  public_net: { ipv4: { id: 100 + id, ip: "192.0.2.1" }, ipv6: null },
});

let there: ReturnType<typeof server>[];
let store: MemoryStore;
let notes: string[];
beforeEach(() => {
  there = [];
  store = new MemoryStore();
  notes = [];
});

const simulatedClient = {
  list: async () => there,
  serverTypes: async () => [{ name: "cpx32", prices: prices("0.0569", "35.49") }],
  pricing: async () => ({
    currency: "EUR",
    primary_ips: [{ type: "ipv4", prices: prices("0.0008", "0.5") }],
  }),
} as unknown as HetznerClient;

const at = (time: string, known: Parameters<typeof recordCost>[1] = []) =>
  recordCost(
    {
      stack: "dev",
      client: simulatedClient,
      archiveStore: store as unknown as ArchiveStore,
      reporter: { note: (line) => void notes.push(line) },
      signal: new AbortController().signal,
      now: () => new Date(time.includes("T") ? time : `2026-11-20T${time}Z`),
    },
    known,
  );

async function uses() {
  const { documents } = await readCostDocuments(store as unknown as ArchiveStore, "dev", () => true);
  return documents.flatMap((document) => documentedUses(document, new Set(), undefined));
}

test("a server that was seen up to its removal within one started hour is exact", async () => {
  there = [server(1, "2026-11-20T13:30:00Z")];
  await at("13:40:00");
  await at("16:02:00");
  there = [];
  await at("16:20:00");
  await at("19:00:00");
  const [use, ...more] = await uses();
  assert.deepEqual(more, []);
  assert.equal(use?.estimate, undefined);
  assert.equal(use?.to.toISOString(), "2026-11-20T16:20:00.000Z", "what is noted as gone stays gone");
  // Three started hours of a cpx32 with its address.
  assert.equal(costOf(use ? [use] : [], calendarMonth("2026-11")).toFixed(), "0.1731");
  assert.deepEqual(notes, []);
});

test("where the removal may have begun another hour, the most counts and it is said", async () => {
  there = [server(1, "2026-11-20T13:30:00Z")];
  await at("15:20:00");
  there = [];
  await at("15:40:00");
  const [use] = await uses();
  assert.match(use?.estimate ?? "", /between 2026-11-20T15:20.*2 to 3 started hours, the most counted/);
  assert.equal(costOf(use ? [use] : [], calendarMonth("2026-11")).toFixed(), "0.1731");
});

test("what was sealed in the evening and is missed in the morning was not there all night", async () => {
  there = [server(1, "2026-11-20T13:30:00Z")];
  await at("13:40:00");
  there = [];
  await at("2026-11-21T08:00:00Z");
  const { documents } = await readCostDocuments(store as unknown as ArchiveStore, "dev", () => true);
  const [use] = documents.flatMap((document) =>
    documentedUses(document, new Set(), new Date("2026-11-20T16:05:00Z")),
  );
  assert.equal(use?.to.toISOString(), "2026-11-20T16:20:00.000Z");
  assert.match(use.estimate ?? "", /counted until 15 minutes after the seal/);
});

test("a cluster that nobody saw go counts until its last sign, and a price the API does not name is said", async () => {
  there = [server(1, "2026-11-20T13:30:00Z"), server(2, "2026-11-20T13:31:00Z", "unheard-of")];
  await at("13:40:00");
  there = [];
  const { documents } = await readCostDocuments(store as unknown as ArchiveStore, "dev", () => true);
  const [document] = documents;
  assert.ok(document);
  const [first, second] = documentedUses(document, new Set(), new Date("2026-11-20T15:45:00Z"));
  assert.equal(first?.to.toISOString(), "2026-11-20T15:45:00.000Z", "sealed then, so still there");
  assert.match(first?.estimate ?? "", /nobody wrote down when it went/);
  assert.match(second?.estimate ?? "", /named no price for unheard-of in fsn1/);
  assert.deepEqual(
    documentedUses(document, new Set([1, 2]), undefined),
    [],
    "what is there is not told twice",
  );
});

test("two clusters of a day have a document each; one that is damaged is named and read over", async () => {
  there = [server(1, "2026-11-20T13:30:00Z")];
  await at("13:40:00");
  const other = server(2, "2026-11-20T14:30:00Z");
  there = [{ ...other, labels: { ...other.labels, "cluster-id": "ClusterB" } }];
  await at("14:40:00");
  assert.deepEqual(
    (await uses()).map(({ cluster, estimate }) => [cluster, estimate !== undefined]),
    [
      ["2026-11-20/ClusterA", true],
      ["2026-11-20/ClusterB", true],
    ],
  );
  await store.put("dev/costs/2026-11-20_ClusterA.json", "{");
  const read = await readCostDocuments(store as unknown as ArchiveStore, "dev", () => true);
  assert.deepEqual(read.damaged, ["dev/costs/2026-11-20_ClusterA.json"]);
  assert.equal(read.documents.length, 1);
});

test("what cannot be written is a word and no failure", async () => {
  there = [server(1, "2026-11-20T13:30:00Z")];
  store.putJson = () => Promise.reject(new ArchiveUnreachableError("nobody answers"));
  await at("13:40:00");
  assert.match(notes.join(), /could not be written down.*trading cost.*nobody answers/);
});

test("a cluster that was left over for weeks is followed from the look before its removal to the one after it", async () => {
  there = [server(1, "2026-11-20T13:30:00Z")];
  await at("13:40:00");
  const seen = await at("2026-12-15T13:40:00Z");
  assert.deepEqual(seen, [{ stack: "dev", businessDate: "2026-11-20", clusterId: "ClusterA" }]);
  there = [];
  await at("2026-12-15T13:50:00Z");
  assert.match((await uses())[0]?.estimate ?? "", /nobody wrote down/, "nobody looks for it after so long");
  await at("2026-12-15T14:10:00Z", seen);
  assert.equal((await uses())[0]?.estimate, undefined);
  const [use] = await uses();
  assert.equal(use && costOf([use], calendarMonth("2026-12")).toFixed(), "20.195", "350 hours");
});

test("prices are kept as they were", async () => {
  there = [server(1, "2026-11-20T13:30:00Z")];
  await at("13:40:00");
  const [use] = await uses();
  assert.deepEqual(use?.rate, { hourly: new Decimal("0.0569"), monthly: new Decimal("35.49") });
  assert.deepEqual(use?.ipv4, { hourly: new Decimal("0.0008"), monthly: new Decimal("0.5") });
});
