import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { ClusterEntry } from "../../services/archive/catalogue.ts";
import type { TradingReady } from "../../services/archive/documents.ts";
import type { TradingDay } from "../calendar/trading-day.ts";
import type { LabelledResource } from "../cluster/labelled.ts";
import type { Activities, Activity } from "./activity.ts";
import { type Finding, findingsOf } from "./findings.ts";
import type { SeenCluster, Sight } from "./sight.ts";

const at = (time: string): Date => new Date(`2026-11-20T${time}:00Z`);
const deadlineMs = 90 * 60_000;
const day: TradingDay = {
  date: "2026-11-20",
  bell: at("14:30"),
  bellClose: at("21:00"),
  closesEarly: false,
  beginsAt: at("13:30"),
  opensAt: at("14:00"),
  closesAt: at("16:00"),
  deadline: at("17:30"),
};

function resource(kind: LabelledResource["kind"], role: string, changes: object = {}): LabelledResource {
  return {
    kind,
    id: 1,
    name: `dev-${role}`,
    labels: { role },
    created: at("13:35").toISOString(),
    holdsData: kind === "servers",
    isOff: false,
    details: "",
    priced: "free",
    ...changes,
  };
}

const ready: TradingReady = {
  stack: "dev",
  businessDate: "2026-11-20",
  clusterId: "abcA",
  ready: true,
  readyAt: "2026-11-20T13:50:00.000Z",
  missing: [],
  canaries: 2,
  accounts: null,
  stopped: [],
  clockSkewMs: null,
  updatedAt: "2026-11-20T13:50:00.000Z",
};

function cluster(changes: Partial<SeenCluster> = {}): SeenCluster {
  return {
    name: "dev/2026-11-20/abcA",
    stack: "dev",
    cluster: { businessDate: "2026-11-20", clusterId: "abcA" },
    resources: [resource("servers", "k3s-control"), resource("networks", "network")],
    createdAt: at("13:35"),
    expiresAt: at("16:00"),
    pricePerHour: "0.2051",
    prices: new Map(),
    costSoFar: "0.4102",
    held: "opened",
    ready,
    isSealRequested: false,
    ...changes,
  };
}

function entry(changes: Partial<ClusterEntry> = {}): ClusterEntry {
  const identity = { stack: "dev", businessDate: "2026-11-20", clusterId: "abcA" };
  return {
    identity,
    state: "unsealed",
    opened: { ...identity, kafkaClusterId: "abcA", openedAt: at("13:45").toISOString() },
    manifest: undefined,
    pruned: undefined,
    override: undefined,
    problems: [],
    ...changes,
  };
}

function sealed(sealedAt: Date): ClusterEntry {
  const manifest = { sealedAt: sealedAt.toISOString() } as ClusterEntry["manifest"];
  return entry({ state: "sealed", manifest });
}

function find(now: Date, changes: Partial<Sight>, activities?: Activities): Finding[] {
  return findingsOf(
    { stack: "dev", now, day, clusters: [], archived: [], blind: [], ...changes },
    deadlineMs,
    activities,
  );
}
const kinds = (now: Date, changes: Partial<Sight>): string[] => find(now, changes).map(({ kind }) => kind);

describe("what should be open", () => {
  test("nothing is there, from the opening to the closing time only", () => {
    for (const time of ["14:00", "15:59"]) assert.deepEqual(kinds(at(time), {}), ["not-opened"], time);
    for (const time of ["13:59", "16:00", "17:00"]) assert.deepEqual(kinds(at(time), {}), [], time);
    assert.deepEqual(kinds(at("15:00"), { day: undefined }), [], "no trading day");
    assert.match(
      find(at("15:00"), {})[0]?.text ?? "",
      /since 2026-11-20 14:00 UTC.*trading -- open --stack dev/,
    );
  });

  test("a cluster that is open and ready is fine", () => {
    assert.deepEqual(kinds(at("15:00"), { clusters: [cluster()], archived: [entry()] }), []);
  });

  for (const [name, changes, expected] of [
    [
      "never ready",
      { ready: { ...ready, ready: false, readyAt: null, missing: ["no canary of near"] } },
      /never ready.*no canary of near/,
    ],
    [
      "ready no more",
      { ready: { ...ready, ready: false, missing: ["the feed"] } },
      /ready to trade at 2026.*is not now; missing: the feed/,
    ],
    ["silent archiver", { ready: undefined }, /has not said that it can trade/],
    [
      "Kafka never ready",
      { held: "never", ready: undefined },
      /Its servers are there for 85 min, and its Kafka was never ready/,
    ],
    [
      "without power",
      { resources: [resource("servers", "k3s-control", { isOff: true })] },
      /Without power: server dev-k3s-control/,
    ],
    ["no control plane", { resources: [resource("servers", "kafka")] }, /No cluster is there/],
    [
      "yesterday's cluster",
      { cluster: { businessDate: "2026-11-19", clusterId: "abcA" }, expiresAt: at("14:30") },
      /No cluster is there/,
    ],
  ] as const) {
    test(`${name}: is told as not opened`, () => {
      const archived = [entry()];
      const [finding, ...more] = find(at("15:00"), {
        clusters: [cluster(changes as Partial<SeenCluster>)],
        archived,
      });
      assert.equal(finding?.kind, "not-opened");
      assert.match(finding?.text ?? "", expected);
      assert.deepEqual(more, []);
    });
  }

  test("what somebody closes, or has closed and sealed, before its time is none", () => {
    const clusters = [cluster({ isSealRequested: true, ready: { ...ready, ready: false } })];
    assert.deepEqual(kinds(at("15:00"), { clusters, archived: [entry()] }), []);
    assert.deepEqual(kinds(at("15:00"), { archived: [sealed(at("14:30"))] }), []);
    const override = { overriddenAt: at("14:30").toISOString(), by: "somebody" };
    assert.deepEqual(kinds(at("15:00"), { archived: [entry({ override })] }), []);
  });

  test("a cluster of the same date that ended before the day did not open it", () => {
    for (const end of [new Date("2026-11-14T18:00:00Z"), at("14:00")]) {
      assert.deepEqual(kinds(at("15:00"), { archived: [sealed(end)] }), ["not-opened"]);
      const override = { overriddenAt: end.toISOString(), by: "somebody" };
      assert.deepEqual(kinds(at("15:00"), { archived: [entry({ override })] }), ["not-opened"]);
    }
    assert.deepEqual(kinds(at("15:00"), { archived: [sealed(at("10:00")), sealed(at("14:30"))] }), []);
  });
});

describe("what stands in its time and does not trade", () => {
  const archived = [entry()];
  const times = (changes: Partial<Activity>): Activities =>
    new Map([
      ["dev/2026-11-20/abcA", { youngestObjectAt: at("15:00"), sealRequestedAt: undefined, ...changes }],
    ]);
  const textsOf = (changes: Partial<SeenCluster>, activities?: Activities, now = at("15:00")): string[] =>
    find(now, { clusters: [cluster(changes)], archived }, activities).map(
      ({ kind, text }) => `${kind} ${text}`,
    );

  test("a seal that was asked for goes on for half an hour; then it has failed", () => {
    for (const held of ["opened", "sealed"] as const) {
      const changes = { held, isSealRequested: true, ready: { ...ready, ready: false } };
      assert.deepEqual(textsOf(changes, times({ sealRequestedAt: at("14:30") })), []);
      assert.deepEqual(textsOf(changes), [], "where nobody knows since when");
      const [text, ...more] = textsOf(changes, times({ sealRequestedAt: at("14:29") }));
      assert.match(
        text ?? "",
        held === "sealed"
          ? /^not-opened .*Its archive is sealed, so it trades no more.*trading -- close --stack dev/
          : /^not-opened .*Its seal was asked for 31 min ago and has not come about.*trading -- close --stack dev/,
      );
      assert.deepEqual(more, []);
    }
  });

  test("a kill switch that is engaged, with its reason", () => {
    const stop = { scope: "alpaca", reason: "account_mismatch: SPY", by: "executor-alpaca", at: "x" };
    const [text, ...more] = textsOf({ ready: { ...ready, stopped: [stop] } });
    assert.match(text ?? "", /^not-opened .*stopped by executor-alpaca at x: account_mismatch: SPY/);
    assert.deepEqual(more, []);
  });

  test("a bucket that nothing has reached for 12 minutes, though the cluster once was ready", () => {
    assert.deepEqual(textsOf({}, times({ youngestObjectAt: at("14:48") })), []);
    const silent = times({ youngestObjectAt: at("14:47") });
    assert.match(
      textsOf({}, silent).join(),
      /^not-opened .*Nothing of dev\/2026-11-20\/abcA has reached the bucket since 2026-11-20T14:47.*--service archiver$/,
    );
    assert.deepEqual(textsOf({}, silent, at("16:30")), [], "after its time");
    assert.deepEqual(textsOf({}), [], "on a simulated clock");
  });
});

describe("what should be gone", () => {
  const archived = [entry()];

  test("not before the deadline, and an end of its own counts more than the calendar's", () => {
    assert.deepEqual(kinds(at("17:30"), { clusters: [cluster()], archived }), []);
    assert.deepEqual(kinds(at("17:31"), { clusters: [cluster()], archived }), ["unsealed"]);
    assert.deepEqual(
      kinds(at("23:00"), { day: undefined, clusters: [cluster({ expiresAt: at("22:00") })], archived }),
      [],
    );
  });

  test("what was opened by hand with an earlier end is the day's cluster while the day goes on", () => {
    const clusters = [cluster({ expiresAt: at("12:00") })];
    for (const time of ["15:00", "17:30"])
      assert.deepEqual(kinds(at(time), { clusters, archived }), [], time);
    assert.deepEqual(kinds(at("17:31"), { day: undefined, clusters, archived }), ["unsealed"]);
  });

  test("unsealed: its price, how long it is over, what seals it, what loses it", () => {
    const [finding] = find(at("20:00"), { clusters: [cluster()], archived });
    assert.equal(finding?.kind, "unsealed");
    assert.equal(finding?.pricePerHour, "0.2051");
    assert.equal(finding?.cluster, "dev/2026-11-20/abcA");
    assert.match(
      finding?.text ?? "",
      /closed at 2026-11-20 16:00 UTC and gone 90 min later, which is 2 h 30 min ago.*trading -- close --stack dev\n.*TRADING_ALLOW_DATA_LOSS=dev\/abcA\nThere: server dev-k3s-control.*0\.4102 EUR/s,
    );
  });

  for (const [name, changes, kind] of [
    ["sealed, still whole", { held: "sealed" }, "still-open"],
    [
      "sealed, its control plane gone",
      { held: "sealed", resources: [resource("servers", "kafka")] },
      "leaked",
    ],
    ["never opened", { held: "never" }, "leaked"],
    ["the bucket cannot say", { held: "unknown" }, "still-open"],
    ["no cluster named", { cluster: undefined, held: "unknown" }, "leaked"],
    ["opened, nothing that holds data", { resources: [resource("networks", "network")] }, "leaked"],
  ] as const) {
    test(`${name}: ${kind}`, () => {
      const seen = { clusters: [cluster(changes as Partial<SeenCluster>)], archived: [] };
      assert.deepEqual(kinds(at("20:00"), seen), [kind]);
    });
  }

  test("what never got an expires-at has a day", () => {
    const clusters = [
      cluster({ expiresAt: undefined, held: "never", createdAt: new Date("2026-11-19T18:29:00Z") }),
    ];
    assert.deepEqual(kinds(at("19:00"), { clusters }), []);
    assert.deepEqual(kinds(at("20:00"), { clusters }), ["leaked"]);
  });
});

describe("what is gone", () => {
  test("opened, unsealed and gone is told as lost; sealed, pruned or allowed is fine", () => {
    const [finding, ...more] = find(at("20:00"), { archived: [entry()] });
    assert.equal(finding?.kind, "unsealed");
    assert.equal(finding?.isPast, true);
    assert.match(finding?.text ?? "", /servers are gone.*archive show dev\/2026-11-20\/abcA/);
    assert.deepEqual(more, []);
    for (const changes of [
      { state: "sealed" },
      { override: { overriddenAt: "x", by: "y" } },
      { opened: undefined },
    ] as Partial<ClusterEntry>[])
      assert.deepEqual(kinds(at("20:00"), { archived: [entry(changes)] }), []);
  });

  test("nothing is called lost, or missing, while Hetzner cannot be asked; that is told", () => {
    const blind = [{ what: "hetzner", message: "no answer" } as const];
    assert.deepEqual(kinds(at("15:00"), { clusters: undefined, archived: [entry()], blind }), ["failed"]);
  });
});
