import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import fc from "fast-check";
import { parse } from "yaml";
import { exampleEntries } from "../components/testing/example-config.ts";
import { type ConfigMistake, parseStackConfig, secretKeys, StackConfigError, valueKeys } from "./config.ts";

/** The mistakes of a configuration that must have some. */
function mistakes(
  overrides: Record<string, string | undefined>,
  encryptedKeys?: string[],
): readonly ConfigMistake[] {
  try {
    parseStackConfig(exampleEntries(overrides), encryptedKeys === undefined ? {} : { encryptedKeys });
  } catch (error) {
    assert.ok(error instanceof StackConfigError, String(error));
    for (const mistake of error.mistakes) {
      for (const part of Object.values(mistake)) {
        assert.notEqual(part, "");
        assert.ok(error.message.includes(part as string), `the message says ${part}`);
      }
    }
    return error.mistakes;
  }
  return assert.fail("this configuration has no mistake");
}

const keysOf = (found: readonly ConfigMistake[]) => found.map((mistake) => mistake.key).sort();

test("a small configuration gets the defaults of seed 000", () => {
  const config = parseStackConfig(exampleEntries());
  assert.equal(config.profile, "cluster");
  assert.deepEqual(config.locations, ["fsn1", "nbg1", "hel1"]);
  assert.deepEqual(config.brokerServerTypes, ["cpx31", "cpx32", "cx33"]);
  assert.deepEqual(config.controlPlaneServerTypes, ["cpx21", "cpx22", "cx23"]);
  assert.equal(config.allowPublicAdmin, false);
  assert.equal(config.openHours, 10);
  assert.equal(config.businessDate, undefined);
  assert.deepEqual(config.images, { registry: "ghcr.io/trading-cz", version: "v0.1.0" });
  assert.deepEqual(config.kafka, {
    bootstrapServers: "kafka-bootstrap.kafka.svc.cluster.local:9092",
    replicationFactor: 3,
    minInsyncReplicas: 2,
  });
  assert.deepEqual(config.risk, {
    maxNotional: "10000",
    maxAmounts: {},
    maxOrdersPerMinute: 6_000,
    symbols: ["*"],
    maxCommandAgeSeconds: 60,
    maxClockSkewMs: 1_000,
  });
  assert.equal(config.ssh.port, 22);
  assert.equal(config.venues.alpaca.streamUrl, "wss://stream.data.alpaca.markets/v2/iex");
  assert.equal(config.venues.alpaca.restUrl, "https://paper-api.alpaca.markets");
  assert.equal(config.venues.nearIntents.relayWebSocketUrl, "wss://solver-relay-v2.chaindefuser.com/ws");
  assert.equal(config.venues.nearIntents.salt, "252812b3");
  assert.equal(config.secrets.nearSignerId, "solver.near");
});

test("a nested object may name only what differs", () => {
  const config = parseStackConfig(
    exampleEntries({
      "trading:images": '{"version":"v2.0.0"}',
      "trading:venues": '{"alpaca":{"symbols":["SPY","QQQ"]},"nearIntents":{"salt":"00000001"}}',
    }),
  );
  assert.deepEqual(config.images, { registry: "ghcr.io/trading-cz", version: "v2.0.0" });
  assert.deepEqual(config.venues.alpaca.symbols, ["SPY", "QQQ"]);
  assert.equal(config.venues.alpaca.updatesUrl, "wss://paper-api.alpaca.markets/stream");
});

test("every mistake is reported at once", () => {
  const found = mistakes({
    "trading:adminCidrs": '["203.0.113.7/24","10.0.0.0/8"]',
    "trading:openHours": "30",
    "trading:delivry": "gitops",
    "trading:delivery": undefined,
    "trading:archive": '{"endpoint":"ftp://x","region":"fsn1","bucket":"B","acl":"public"}',
    "trading:hcloudToken": "short",
    "trading:nearPrivateKey": undefined,
  });
  assert.deepEqual(keysOf(found), [
    "trading:adminCidrs[0]",
    "trading:archive.acl",
    "trading:archive.bucket",
    "trading:archive.endpoint",
    "trading:delivery",
    "trading:delivry",
    "trading:hcloudToken",
    "trading:nearPrivateKey",
    "trading:openHours",
  ]);
});

test("an unknown key lists the known ones, at the top and inside", () => {
  const [top] = mistakes({ "trading:adminCidr": "[]" });
  assert.equal(top?.key, "trading:adminCidr");
  assert.match(top?.allowed ?? "", /adminCidrs, allowPublicAdmin/);
  const [inner] = mistakes({
    "trading:venues": '{"alpaca":{"feed":"iex"},"nearIntents":{"salt":"252812b3"}}',
  });
  assert.equal(inner?.key, "trading:venues.alpaca.feed");
  assert.equal(inner?.allowed, "streamUrl, restUrl, updatesUrl, symbols, requestsPerMinute");
});

test("keys of other namespaces are left alone", () => {
  assert.doesNotThrow(() => parseStackConfig(exampleEntries({ "hcloud:token": "x", "aws:region": "y" })));
});

test("halves of the internet are the whole of it", () => {
  const halves = JSON.stringify(["0.0.0.0/1", "128.0.0.0/1"]);
  assert.deepEqual(keysOf(mistakes({ "trading:adminCidrs": halves })), [
    "trading:adminCidrs[0]",
    "trading:adminCidrs[1]",
  ]);
  const pieces = Array.from({ length: 17 }, (_, index) => `${index + 1}.0.0.0/8`);
  const [mistake] = mistakes({ "trading:adminCidrs": JSON.stringify(pieces) });
  assert.equal(mistake?.key, "trading:adminCidrs");
  assert.match(mistake?.action ?? "", /allowPublicAdmin/);
  for (const adminCidrs of [halves, JSON.stringify(pieces)]) {
    const entries = exampleEntries({
      "trading:adminCidrs": adminCidrs,
      "trading:allowPublicAdmin": "true",
    });
    assert.doesNotThrow(() => parseStackConfig(entries));
  }
  const few = JSON.stringify(pieces.slice(1));
  assert.doesNotThrow(() => parseStackConfig(exampleEntries({ "trading:adminCidrs": few })));
});

test("a schedule needs no more than its time, and New York's clocks are its default", () => {
  assert.equal(parseStackConfig(exampleEntries({ "trading:schedule": undefined })).schedule, undefined);
  assert.deepEqual(parseStackConfig(exampleEntries({ "trading:schedule": '{"open":"09:00"}' })).schedule, {
    open: "09:00",
    timeZone: "America/New_York",
    earlyCloseMarginMinutes: 120,
    leadMinutes: 30,
    deadlineMinutes: 90,
  });
});

test("every mistake of a schedule is reported", () => {
  const schedule = {
    open: "9:00",
    timeZone: "America/Springfield",
    mostDaysPerMonth: 0,
    earlyCloseMarginMinutes: -1,
    leadMinutes: 1.5,
    deadlineMinutes: 9_999,
    hours: 2,
  };
  assert.deepEqual(keysOf(mistakes({ "trading:schedule": JSON.stringify(schedule) })), [
    "trading:schedule.deadlineMinutes",
    "trading:schedule.earlyCloseMarginMinutes",
    "trading:schedule.hours",
    "trading:schedule.leadMinutes",
    "trading:schedule.mostDaysPerMonth",
    "trading:schedule.open",
    "trading:schedule.timeZone",
  ]);
  for (const open of ["24:00", "12:60", 540])
    assert.deepEqual(keysOf(mistakes({ "trading:schedule": JSON.stringify({ open }) })), [
      "trading:schedule.open",
    ]);
  for (const timeZone of ["+02:00", "", "Europe"])
    assert.deepEqual(keysOf(mistakes({ "trading:schedule": JSON.stringify({ open: "09:00", timeZone }) })), [
      "trading:schedule.timeZone",
    ]);
  assert.deepEqual(keysOf(mistakes({ "trading:schedule": "09:00" })), ["trading:schedule"]);
});

test("a day is over before the next one begins", () => {
  // With 30 minutes to come up and 90 to the deadline, 21 hours are left.
  const of = (openHours: string) => ({
    "trading:openHours": openHours,
    "trading:schedule": '{"open":"09:00"}',
  });
  assert.doesNotThrow(() => parseStackConfig(exampleEntries(of("21"))));
  const [mistake] = mistakes(of("22"));
  assert.equal(mistake?.key, "trading:schedule");
  assert.match(mistake?.found ?? "", /22 trading:openHours and 90 deadlineMinutes: 1440 minutes/);
});

test("the end of a cluster is read from both of its forms, and from nothing without a zone", () => {
  const read = (text: string) => parseStackConfig(exampleEntries({ "trading:expiresAt": text })).expiresAt;
  assert.equal(parseStackConfig(exampleEntries()).expiresAt, undefined);
  for (const text of ["1760479200", "2025-10-14T22:00:00Z", "2025-10-14T18:00:00.999-04:00"])
    assert.equal(read(text), 1_760_479_200, text);
  for (const text of ["2025-10-14T22:00:00", "2025-10-14", "tomorrow", "1760479200000", "-1760479200", ""])
    assert.deepEqual(keysOf(mistakes({ "trading:expiresAt": text })), ["trading:expiresAt"], text);
});

test("the whole internet needs a second word", () => {
  for (const network of ["0.0.0.0/0", "::/0"]) {
    const [mistake] = mistakes({ "trading:adminCidrs": JSON.stringify([network]) });
    assert.equal(mistake?.key, "trading:adminCidrs[0]");
    assert.match(mistake?.action ?? "", /allowPublicAdmin/);
    assert.doesNotThrow(() =>
      parseStackConfig(
        exampleEntries({
          "trading:adminCidrs": JSON.stringify([network]),
          "trading:allowPublicAdmin": "true",
        }),
      ),
    );
  }
  assert.deepEqual(keysOf(mistakes({ "trading:adminCidrs": undefined })), ["trading:adminCidrs"]);
  assert.deepEqual(keysOf(mistakes({ "trading:adminCidrs": "[]" })), ["trading:adminCidrs"]);
  assert.deepEqual(keysOf(mistakes({ "trading:adminCidrs": "203.0.113.0/24" })), ["trading:adminCidrs"]);
});

test("a limit that cannot be one is a mistake, each by its own key", () => {
  const limits =
    '{"maxNotional":10000,"maxAmounts":{"nep141:a,b":"1","usdt":"1.5"},"maxOrdersPerMinute":0,"symbols":[],' +
    '"maxCommandAgeSeconds":0.5,"maxClockSkewMs":-1,"maxLoss":"1"}';
  assert.deepEqual(keysOf(mistakes({ "trading:risk": limits })), [
    "trading:risk.maxAmounts.nep141:a,b",
    "trading:risk.maxAmounts.usdt",
    "trading:risk.maxClockSkewMs",
    "trading:risk.maxCommandAgeSeconds",
    "trading:risk.maxLoss",
    "trading:risk.maxNotional",
    "trading:risk.maxOrdersPerMinute",
    "trading:risk.symbols",
  ]);
});

test("not more copies can be in sync than there are", () => {
  const [mistake] = mistakes({ "trading:kafka": '{"replicationFactor":1}' });
  assert.equal(mistake?.key, "trading:kafka.minInsyncReplicas");
  assert.match(mistake?.allowed ?? "", /which is 1/);
  const { kafka } = parseStackConfig(
    exampleEntries({ "trading:kafka": '{"replicationFactor":1,"minInsyncReplicas":1}' }),
  );
  assert.deepEqual([kafka.replicationFactor, kafka.minInsyncReplicas], [1, 1]);
});

test("a single node has one copy of everything and a server type that holds it", () => {
  const single = { "trading:profile": "single-node" };
  const config = parseStackConfig(exampleEntries(single));
  assert.equal(config.profile, "single-node");
  assert.deepEqual([config.kafka.replicationFactor, config.kafka.minInsyncReplicas], [1, 1]);
  assert.deepEqual(config.controlPlaneServerTypes, ["cpx31", "cpx32", "cx33"]);
  const wished = parseStackConfig(
    exampleEntries({ ...single, "trading:controlPlaneServerTypes": '["cpx42"]', "trading:kafka": "{}" }),
  );
  assert.deepEqual(wished.controlPlaneServerTypes, ["cpx42"]);
  assert.equal(wished.kafka.replicationFactor, 1);

  const [copies, ...others] = mistakes({ ...single, "trading:kafka": '{"replicationFactor":3}' });
  assert.deepEqual(others, []);
  assert.equal(copies?.key, "trading:kafka.replicationFactor");
  assert.match(copies?.allowed ?? "", /^at most 1: trading:profile single-node/);
  assert.deepEqual(keysOf(mistakes({ ...single, "trading:kafka": '{"minInsyncReplicas":2}' })), [
    "trading:kafka.minInsyncReplicas",
  ]);
  const [unknown] = mistakes({ "trading:profile": "single" });
  assert.deepEqual([unknown?.key, unknown?.allowed], ["trading:profile", "cluster or single-node"]);
});

test("an image may be pinned by its digest or a version of its own, for a service of the catalog", () => {
  const digest = `sha256:${"0123456789abcdef".repeat(4)}`;
  const images = (digests: object) => ({ "trading:images": JSON.stringify({ digests }) });
  const pinned = parseStackConfig(exampleEntries(images({ archiver: digest })));
  assert.deepEqual(pinned.images.digests, { archiver: digest });
  const older = { "trading:images": JSON.stringify({ versions: { archiver: "v0.0.9" } }) };
  assert.deepEqual(parseStackConfig(exampleEntries(older)).images.versions, { archiver: "v0.0.9" });
  const found = mistakes(images({ archiver: "sha256:123", archver: digest }));
  assert.deepEqual(keysOf(found), ["trading:images.digests.archiver", "trading:images.digests.archver"]);
  assert.match(
    found.find(({ key }) => key.endsWith("archver"))?.allowed ?? "",
    /archiver, .*executor-alpaca/,
  );
});

test("who pulls images is named with a token or not at all, and k3s takes its options", () => {
  const plain = parseStackConfig(exampleEntries());
  assert.deepEqual(plain.k3s, { embeddedRegistry: false, wireguard: false });
  assert.deepEqual([plain.registryUser, plain.secrets.registryToken], [undefined, undefined]);
  const both = parseStackConfig(
    exampleEntries({
      "trading:registryUser": "reader",
      "trading:registryToken": "token",
      "trading:k3s": '{"wireguard":true}',
    }),
  );
  assert.deepEqual([both.registryUser, both.secrets.registryToken], ["reader", "token"]);
  assert.deepEqual(both.k3s, { embeddedRegistry: false, wireguard: true });
  assert.deepEqual(keysOf(mistakes({ "trading:registryUser": "reader" })), ["trading:registryToken"]);
  assert.deepEqual(keysOf(mistakes({ "trading:registryToken": "token" })), ["trading:registryUser"]);
  assert.deepEqual(
    mistakes(
      { "trading:registryUser": "reader", "trading:registryToken": "token" },
      secretKeys.map((key) => `trading:${key}`),
    ).map(({ key, found }) => [key, /in clear/.test(found)]),
    [["trading:registryToken", true]],
  );
});

test("a missing secret is named with the command that sets it", () => {
  const found = mistakes(Object.fromEntries(secretKeys.map((key) => [`trading:${key}`, undefined])));
  assert.deepEqual(
    found.map((mistake) => mistake.action).sort(),
    secretKeys.map((key) => `pulumi config set --secret trading:${key}`).sort(),
  );
});

test("a secret in clear is a mistake, and no message shows a secret", () => {
  const encrypted = secretKeys.map((key) => `trading:${key}`);
  assert.doesNotThrow(() => parseStackConfig(exampleEntries(), { encryptedKeys: encrypted }));
  const [mistake] = mistakes({}, encrypted.slice(1));
  assert.equal(mistake?.key, "trading:hcloudToken");
  assert.match(mistake?.found ?? "", /in clear/);
  for (const key of secretKeys) {
    const entries = exampleEntries({ [`trading:${key}`]: " not-of-this-form " });
    assert.throws(
      () => parseStackConfig(entries),
      (error: unknown) => error instanceof StackConfigError && !error.message.includes("not-of-this-form"),
    );
  }
});

test("a repository that is not public is read with a token over https, or a key over SSH", () => {
  const key = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaA==\n-----END OPENSSH PRIVATE KEY-----\n";
  const from = (repository: string, secrets: Record<string, string> = {}) => ({
    "trading:delivery": "gitops",
    "trading:gitops": JSON.stringify({ repository, path: "k8s/overlays/dev", revision: "master" }),
    ...Object.fromEntries(Object.entries(secrets).map(([name, value]) => [`trading:${name}`, value])),
  });
  const [https, ssh] = ["https://git.example.com/a.git", "git@git.example.com:a.git"];

  const read = parseStackConfig(exampleEntries(from(https, { gitToken: "t0ken" })));
  assert.deepEqual([read.gitops?.user, read.secrets.gitToken], ["git", "t0ken"]);
  assert.equal(parseStackConfig(exampleEntries(from(ssh, { gitSshKey: key }))).secrets.gitSshKey, key);
  assert.equal(parseStackConfig(exampleEntries(from(https))).secrets.gitToken, undefined);

  assert.deepEqual(keysOf(mistakes(from(ssh))), ["trading:gitSshKey"]);
  assert.deepEqual(keysOf(mistakes(from(ssh, { gitToken: "t0ken" }))), [
    "trading:gitSshKey",
    "trading:gitToken",
  ]);
  assert.deepEqual(keysOf(mistakes(from(https, { gitSshKey: key }))), ["trading:gitSshKey"]);
  assert.deepEqual(keysOf(mistakes(from(ssh, { gitSshKey: "ssh-ed25519 AAAA" }))), ["trading:gitSshKey"]);
  assert.deepEqual(keysOf(mistakes(from("https://user:t0ken@git.example.com/a.git"))), [
    "trading:gitops.repository",
  ]);
  // With `direct` nobody reads the repository.
  assert.ok(parseStackConfig(exampleEntries({ ...from(ssh), "trading:delivery": "direct" })));
});

test("gitops needs a repository, direct does not", () => {
  assert.deepEqual(keysOf(mistakes({ "trading:delivery": "gitops" })), ["trading:gitops"]);
  const repository =
    '{"repository":"https://git.example.com/a.git","path":"k8s/overlays/dev","revision":"master"}';
  assert.doesNotThrow(() =>
    parseStackConfig(exampleEntries({ "trading:delivery": "gitops", "trading:gitops": repository })),
  );
});

test("plain http and ws stay on this machine", () => {
  const archive = (endpoint: string) => ({
    "trading:archive": JSON.stringify({ endpoint, region: "local", bucket: "archive" }),
  });
  assert.doesNotThrow(() => parseStackConfig(exampleEntries(archive("http://127.0.0.1:9000"))));
  assert.deepEqual(keysOf(mistakes(archive("http://s3.example.com"))), ["trading:archive.endpoint"]);
  assert.deepEqual(keysOf(mistakes(archive("http://127.0.0.1.example.com"))), ["trading:archive.endpoint"]);
  assert.deepEqual(keysOf(mistakes({ "trading:hcloudEndpoint": "http://api.example.com/v1" })), [
    "trading:hcloudEndpoint",
  ]);
});

test("whatever the text of any key, the answer is a configuration or a list of mistakes", () => {
  const key = fc.constantFrom(...valueKeys, ...secretKeys).map((name) => `trading:${name}`);
  const value = fc.oneof(
    fc.string(),
    fc.json(),
    fc.constantFrom("null", "[]", "{}", "true", "0", "[null]", '{"a":1}'),
  );
  fc.assert(
    fc.property(key, value, (name, text) => {
      try {
        parseStackConfig(exampleEntries({ [name]: text }));
      } catch (error) {
        assert.ok(error instanceof StackConfigError, String(error));
        assert.ok(error.mistakes.length > 0);
        assert.ok(
          error.mistakes.every((mistake) => mistake.key.startsWith("trading:")),
          error.message,
        );
      }
    }),
    { numRuns: 500 },
  );
});

for (const stack of ["dev", "prod"]) {
  test(`Pulumi.${stack}.yaml lacks nothing but the secrets, opens nothing to the world and holds no secret`, () => {
    const file = parse(readFileSync(new URL(`../Pulumi.${stack}.yaml`, import.meta.url), "utf8")) as {
      config: Record<string, unknown>;
    };
    const entries = Object.fromEntries(
      Object.entries(file.config).map(([key, value]) => [
        key,
        typeof value === "string" ? value : JSON.stringify(value),
      ]),
    );
    assert.throws(
      () => parseStackConfig(entries),
      (error: unknown) => {
        assert.ok(error instanceof StackConfigError);
        assert.deepEqual(keysOf(error.mistakes), secretKeys.map((key) => `trading:${key}`).sort());
        return true;
      },
    );
    // RFC 5737: reserved for documentation.
    assert.deepEqual(file.config["trading:adminCidrs"], ["203.0.113.0/24"]);
    assert.equal(file.config["trading:allowPublicAdmin"], undefined);
  });
}

test("a choice to pass over that no choice of the profile can be is a mistake", () => {
  const excluded = (profile: string, ...names: string[]) => ({
    "trading:profile": profile,
    "trading:excludedCapacity": JSON.stringify(names),
  });
  const [mistake] = mistakes(excluded("cluster", "fsn1/cpx32/*", "fsn1/cpx32"));
  assert.equal(mistake?.key, "trading:excludedCapacity[1]");
  assert.match(mistake?.allowed ?? "", /fsn1\/cpx32\/cpx22/);
  assert.deepEqual(keysOf(mistakes(excluded("single-node", "fsn1/cpx32", "fsn1/cpx32/cpx22"))), [
    "trading:excludedCapacity[1]",
  ]);
  assert.equal(mistakes(excluded("cluster", "fsn1")).length, 1, "said once");
  const { excludedCapacity } = parseStackConfig(exampleEntries(excluded("single-node", "fsn1/*")));
  assert.deepEqual(excludedCapacity, ["fsn1/*"]);
});
