import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import type { BookCheck } from "./books.ts";
import type { DayCounts } from "./counts.ts";
import {
  judgeArchive,
  judgeBilling,
  judgeDeadLetters,
  judgeExecution,
  judgePorts,
  judgeSecrets,
  searchSecrets,
} from "./judge.ts";

const directory = mkdtempSync(path.join(tmpdir(), "lab-judge-"));
after(() => rmSync(directory, { recursive: true, force: true }));

const good: DayCounts = {
  events: { ingested: 3, normalized: 3, commands: 2, results: 2 },
  venues: {},
  duplicates: 0,
  lost: 0,
  deadLetters: 0,
  reported: [],
  latencies: [],
  ingestedAt: [],
};

test("execution: what was done twice, a duplicate, a difference and a missing result each break the promise", () => {
  const book: BookCheck = { venue: "alpaca", executed: 2, twice: 0, differences: [] };
  const judge = (counts: Partial<DayCounts>, ...books: BookCheck[]) =>
    judgeExecution({ ...good, ...counts }, books);
  assert.equal(judge({}, book, { ...book, venue: "near-intents" }).held, true);
  assert.equal(judge({}).held, false, "without a book nothing is shown");
  assert.equal(judge({}, book, { ...book, twice: 1 }).held, false);
  assert.equal(judge({ duplicates: 1 }, book).held, false);
  assert.equal(judge({ events: { ...good.events, results: 1 } }, book).held, false);
  const different = judge(
    {},
    { ...book, differences: Array.from({ length: 7 }, (_, n) => `difference ${n}`) },
  );
  assert.equal(different.held, false);
  assert.match(different.detail, /difference 0; .*; and 2 more differences$/);
});

test("archive: unverified or lost breaks the promise", () => {
  assert.equal(judgeArchive({ verified: true, problems: [] }, 0).held, true);
  assert.equal(judgeArchive({ verified: true, problems: [] }, 1).held, false);
  assert.match(
    judgeArchive({ verified: false, problems: ["object x is missing"] }, 0).detail,
    /object x is missing/,
  );
});

test("dead letters: one breaks the promise", () => {
  assert.equal(judgeDeadLetters(0).held, true);
  assert.equal(judgeDeadLetters(1).held, false);
});

test("billing: what is left is named with its price per hour", () => {
  assert.equal(judgeBilling([]).held, true);
  const check = judgeBilling([{ kind: "server", name: "dev-kafka-0", pricePerHour: 0.0569 }]);
  assert.equal(check.held, false);
  assert.match(check.detail, /server dev-kafka-0 at EUR 0\.0569\/h/);
});

test("ports: another port, another source, no port and no firewall break the promise", () => {
  const allowed = { ports: [22, 6443], cidrs: ["203.0.113.0/24"] };
  const rule = { direction: "in", protocol: "tcp", port: "22", source_ips: ["203.0.113.0/24"] };
  const judge = (rules: object[], firewalls = 1) =>
    judgePorts([{ server: "s", firewalls, rules: rules as (typeof rule)[] }], allowed).held;
  assert.equal(judge([rule, { ...rule, direction: "out", protocol: "udp", port: "53" }]), true);
  assert.equal(judge([{ ...rule, port: "9092" }]), false);
  assert.equal(judge([{ ...rule, port: "20-25" }]), false);
  assert.equal(judge([{ ...rule, port: null }]), false);
  assert.equal(judge([{ ...rule, source_ips: ["0.0.0.0/0"] }]), false);
  assert.equal(judge([], 0), false);
  assert.equal(judgePorts([], allowed).held, false);
});

test("secrets: found in clear and as base64, by name and never by value", () => {
  const secrets = { hcloudToken: "a-very-secret-token" };
  const file = path.join(directory, "state.json");
  writeFileSync(file, "{}");
  const judge = (...roots: string[]) => judgeSecrets([searchSecrets(roots, secrets)]);
  assert.equal(judge(directory).held, true);
  for (const leaked of ["a-very-secret-token", Buffer.from("a-very-secret-token").toString("base64")]) {
    writeFileSync(file, JSON.stringify({ leaked }));
    const check = judge(file, path.join(directory, "absent"));
    assert.equal(check.held, false);
    assert.equal(check.detail, "hcloudToken in state.json");
  }
  assert.equal(judge(path.join(directory, "absent")).held, false, "a search of nothing proves nothing");
});
