/** What `trading init` asks of each API, and what it makes of every answer, against the lab's servers. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { labDirectories } from "../lab/directories.ts";
import { type Hetzner, startHetzner } from "../lab/hetzner/index.ts";
import { type LabObjectStore, startObjectStore } from "../lab/objectstore/index.ts";
import { type LabAlpaca, startAlpaca } from "../lab/venues/alpaca/index.ts";
import { type LabNear, startNear } from "../lab/venues/near/index.ts";
import type { CheckContext } from "../ops/init/check.ts";
import { checkAccess } from "../ops/init/check-access.ts";
import { checkAlpaca } from "../ops/init/check-alpaca.ts";
import { checkBucket, probeKey } from "../ops/init/check-bucket.ts";
import { checkDelivery } from "../ops/init/check-delivery.ts";
import { checkHetzner } from "../ops/init/check-hetzner.ts";
import { checkNear } from "../ops/init/check-near.ts";
import { Draft } from "../ops/init/draft.ts";
import type { Finding, Verdict } from "../ops/init/finding.ts";
import { HetznerClient } from "../ops/hetzner/client.ts";
import { ArchiveStore } from "../services/archive/store.ts";

const directory = mkdtempSync(path.join(tmpdir(), "init-checks-"));
const servers: Server[] = [];
after(() => {
  for (const server of servers) server.close();
  rmSync(directory, { recursive: true, force: true });
});

/** A server of this test alone. @returns its address */
async function serve(answer: RequestListener): Promise<string> {
  const server = createServer(answer);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Where nobody listens. */
async function nowhere(): Promise<string> {
  const url = await serve(() => undefined);
  const server = servers.pop();
  await new Promise((resolve) => server?.close(resolve));
  return url;
}

/** What a check works with. @param values by key, objects as JSON; all that are secrets count as encrypted */
function contextOf(values: Record<string, unknown>, more: Partial<CheckContext> = {}): CheckContext {
  const entries = Object.fromEntries(
    Object.entries(values).map(([key, value]) => [
      `trading:${key}`,
      typeof value === "string" ? value : JSON.stringify(value),
    ]),
  );
  return {
    draft: new Draft("dev", { entries, secretKeys: [] }),
    environment: {},
    signal: new AbortController().signal,
    probe: true,
    progress: () => undefined,
    ...more,
  };
}

/** That a finding of this verdict says this. @returns it */
function expectFinding(findings: readonly Finding[], verdict: Verdict, text: RegExp): Finding {
  const found = findings.find((finding) => finding.verdict === verdict && text.test(finding.text));
  assert.ok(found, `${verdict} ${String(text)} among\n${JSON.stringify(findings, null, 2)}`);
  return found;
}

const bad = (findings: readonly Finding[]) =>
  findings.filter(({ verdict }) => verdict === "refused" || verdict === "unreachable");

describe("Hetzner Cloud", () => {
  let hetzner: Hetzner;
  before(async () => {
    hetzner = await startHetzner({});
  });
  after(() => hetzner.close());
  const check = (values: Record<string, unknown> = {}, more: Partial<CheckContext> = {}) =>
    checkHetzner(
      contextOf({ hcloudToken: hetzner.token, hcloudEndpoint: hetzner.endpoint, ...values }, more),
    );

  test("a token that reads and writes; the probe is gone; the price of the day", async () => {
    const findings = await check();
    assert.deepEqual(bad(findings), []);
    expectFinding(findings, "ok", /may write/);
    expectFinding(findings, "ok", /fsn1\/cpx32\/cpx22 is to be had now: \d\.\d+ EUR/);
    expectFinding(findings, "note", /4 servers\. No API shows the account's limit/);
    assert.deepEqual(hetzner.project.placementGroups(), []);
    const written = hetzner.project.requests().filter(({ method }) => method !== "GET");
    assert.deepEqual(
      written.map(({ method }) => method),
      ["POST", "DELETE"],
    );
  });

  test("without the probe nothing is made", async () => {
    const before = hetzner.project.requests().length;
    const findings = await check({}, { probe: false });
    expectFinding(findings, "note", /--no-probe/);
    const asked = hetzner.project.requests().slice(before);
    assert.ok(asked.length > 0 && asked.every(({ method }) => method === "GET"));
  });

  test("a token of nobody", async () => {
    const token = "x".repeat(64);
    const findings = await check({ hcloudToken: token });
    assert.deepEqual(expectFinding(findings, "refused", /refuses the token/).keys, ["hcloudToken"]);
    assert.equal(JSON.stringify(findings).includes(token), false);
  });

  test("a token that may only read", async () => {
    const [id] = hetzner.faults.add({
      rules: [
        {
          at: "request",
          method: "POST",
          path: "/placement_groups",
          effect: { kind: "error", code: "forbidden" },
        },
      ],
    });
    const findings = await check();
    hetzner.faults.remove(id);
    assert.deepEqual(expectFinding(findings, "refused", /may only read/).keys, ["hcloudToken"]);
  });

  test("an answer that is lost leaves nothing behind, and no certainty", async () => {
    const [id] = hetzner.faults.add({
      rules: [
        {
          at: "request",
          method: "POST",
          path: "/placement_groups",
          effect: { kind: "drop", moment: "after" },
        },
      ],
    });
    const findings = await check();
    hetzner.faults.remove(id);
    expectFinding(findings, "unreachable", /Whether it may write is not known/);
    assert.deepEqual(hetzner.project.placementGroups(), []);
  });

  test("what a killed check left goes with the next one; other placement groups stay", async () => {
    const post = (body: object) =>
      fetch(`${hetzner.endpoint}/placement_groups`, {
        method: "POST",
        headers: { authorization: `Bearer ${hetzner.token}`, "content-type": "application/json" },
        body: JSON.stringify({ type: "spread", ...body }),
      });
    await post({ name: "trading-init-killed", labels: { purpose: "trading-init-check" } });
    await post({ name: "mine" });
    await check();
    const left = hetzner.project.placementGroups();
    assert.deepEqual(
      left.map(({ name }) => name),
      ["mine"],
    );
    const client = new HetznerClient({ endpoint: hetzner.endpoint, token: hetzner.token });
    for (const { id } of left) await client.remove("placement_groups", id);
  });

  test("a project that is full of placement groups", async () => {
    const [id] = hetzner.faults.add({
      rules: [
        {
          at: "request",
          method: "POST",
          path: "/placement_groups",
          effect: { kind: "error", code: "resource_limit_exceeded" },
        },
      ],
    });
    const findings = await check();
    hetzner.faults.remove(id);
    expectFinding(findings, "warning", /can take no placement group/);
    assert.deepEqual(bad(findings), []);
  });

  test("a name that the stack needs and somebody else has", async () => {
    const response = await fetch(`${hetzner.endpoint}/networks`, {
      method: "POST",
      headers: { authorization: `Bearer ${hetzner.token}`, "content-type": "application/json" },
      body: JSON.stringify({ name: "dev", ip_range: "10.0.0.0/16" }),
    });
    assert.equal(response.status, 201);
    expectFinding(await check(), "warning", /taken by what is not its own: network dev/);
    const client = new HetznerClient({ endpoint: hetzner.endpoint, token: hetzner.token });
    for (const { id } of hetzner.project.networks()) await client.remove("networks", id);
  });

  test("wishes that cannot be had are told, and do not keep the rest from being set", async () => {
    const findings = await check({ locations: ["nowhere"] });
    expectFinding(findings, "warning", /No location has these servers now/);
    assert.deepEqual(bad(findings), []);
    expectFinding(await check({ locations: "fsn1" }), "note", /not valid/);
  });

  test("nobody there", async () => {
    const findings = await check({ hcloudEndpoint: `${await nowhere()}/v1` });
    expectFinding(findings, "unreachable", /HCLOUD_ENDPOINT/);
  });

  test("an interruption ends it, and leaves nothing behind", async () => {
    const abort = new AbortController();
    const interrupted = check({}, { signal: abort.signal, progress: () => abort.abort(new Error("enough")) });
    await assert.rejects(interrupted, /enough/);
    assert.deepEqual(hetzner.project.placementGroups(), []);
  });
});

describe("the bucket", () => {
  let store: LabObjectStore;
  before(async () => {
    store = await startObjectStore({
      directory: path.join(directory, "s3"),
      cacheDirectory: labDirectories.cache,
    });
  });
  after(() => store.stop());
  const check = (archive: object = {}, keys: object = {}) =>
    checkBucket(
      contextOf({
        archive: { endpoint: store.endpoint, region: store.region, bucket: store.bucket, ...archive },
        archiveAccessKeyId: store.accessKeyId,
        archiveSecretAccessKey: store.secretAccessKey,
        ...keys,
      }),
    );
  const objects = async (): Promise<string[]> => {
    const { endpoint, region, bucket, accessKeyId, secretAccessKey } = store;
    const archive = new ArchiveStore({ endpoint, region, bucket, accessKeyId, secretAccessKey });
    const listed = await archive.list("");
    archive.close();
    return listed.map(({ key }) => key).filter((key) => key === probeKey);
  };

  test("keys that may do everything; what was tried is gone", async () => {
    const findings = await check();
    assert.deepEqual(bad(findings), []);
    expectFinding(findings, "ok", /write and read/);
    expectFinding(findings, "note", /can delete, too/);
    expectFinding(findings, "note", /Versioning: off; object lock: off\./);
    assert.deepEqual(await objects(), []);
  });

  test("the archiver's keys, which cannot delete: one small object stays, however often", async () => {
    const writer = {
      archiveAccessKeyId: store.writer.accessKeyId,
      archiveSecretAccessKey: store.writer.secretAccessKey,
    };
    const findings = await check({}, writer);
    assert.deepEqual(bad(findings), []);
    expectFinding(findings, "ok", /cannot delete/);
    await check({}, writer);
    assert.deepEqual(await objects(), [probeKey]);
    await check();
  });

  test("wrong keys, no bucket, nobody there: each names what to give anew", async () => {
    const keys = await check({}, { archiveSecretAccessKey: "not-the-key" });
    const refused = expectFinding(keys, "refused", /keys are refused/);
    assert.deepEqual(refused.keys, ["archiveAccessKeyId", "archiveSecretAccessKey"]);
    assert.equal(JSON.stringify(keys).includes("not-the-key"), false);
    const bucket = expectFinding(
      await check({ bucket: "no-such-bucket" }),
      "refused",
      /no bucket "no-such-bucket"/,
    );
    assert.ok(bucket.keys.includes("archive.bucket"));
    const nobody = expectFinding(
      await check({ endpoint: await nowhere() }),
      "unreachable",
      /does not answer/,
    );
    assert.ok(nobody.keys.includes("archive.endpoint"));
  });
});

describe("Alpaca", () => {
  let alpaca: LabAlpaca;
  before(async () => {
    alpaca = await startAlpaca({ market: "simulated" });
  });
  after(() => alpaca.close());
  const contextFor = (rest: string, keyId = alpaca.keyId, secret = alpaca.secret, updatesUrl?: string) =>
    contextOf({
      alpacaKeyId: keyId,
      alpacaSecretKey: secret,
      venues: { alpaca: { restUrl: rest, ...(updatesUrl === undefined ? {} : { updatesUrl }) } },
    });

  test("the paper account, and the clock", async () => {
    const findings = await checkAlpaca(contextFor(alpaca.rest));
    assert.deepEqual(
      findings.map(({ verdict }) => verdict),
      ["ok", "ok"],
    );
    expectFinding(findings, "ok", /Paper account at .*100000 USD/);
  });

  test("keys that are refused; a live key at the paper API is called one", async () => {
    const findings = await checkAlpaca(contextFor(alpaca.rest, "AKLIVE", "the-secret"));
    const refused = expectFinding(findings, "refused", /looks like a live key/);
    assert.deepEqual(refused.keys, ["alpacaKeyId", "alpacaSecretKey"]);
    assert.equal(JSON.stringify(findings).includes("the-secret"), false);
  });

  test("a blocked account, a clock that is off, a venue in trouble, nobody there", async () => {
    const account = { status: "ACTIVE", cash: "1", currency: "USD", account_blocked: true };
    const blocked = await serve((request, response) =>
      response.end(
        JSON.stringify(
          request.url === "/v2/account" ? account : { timestamp: "2020-01-02T03:04:05Z", is_open: false },
        ),
      ),
    );
    const findings = await checkAlpaca(contextFor(blocked));
    expectFinding(findings, "warning", /cannot trade now: status ACTIVE, blocked/);
    expectFinding(findings, "warning", /closed; this machine's clock is \d+ ms ahead/);
    const troubled = await serve((_request, response) => response.writeHead(503).end("{}"));
    expectFinding(await checkAlpaca(contextFor(troubled)), "unreachable", /HTTP 503/);
    const strange = await serve((_request, response) => response.end("<html>"));
    expectFinding(await checkAlpaca(contextFor(strange)), "unreachable", /no account/);
    expectFinding(await checkAlpaca(contextFor(await nowhere())), "unreachable", /does not answer/);
  });

  test("real money is said loudly", async (context) => {
    const account = { status: "ACTIVE", cash: "5", currency: "USD" };
    const clock = { timestamp: new Date().toISOString(), is_open: true };
    const asked: string[] = [];
    context.mock.method(globalThis, "fetch", (url: string) => {
      asked.push(url);
      return Promise.resolve(new Response(JSON.stringify(url.endsWith("/v2/account") ? account : clock)));
    });
    const findings = await checkAlpaca(contextFor("https://api.alpaca.markets"));
    assert.deepEqual(asked, ["https://api.alpaca.markets/v2/account", "https://api.alpaca.markets/v2/clock"]);
    expectFinding(findings, "warning", /LIVE account: orders spend real money \(5 USD/);
    expectFinding(findings, "warning", /mixes paper and live/);
  });
});

describe("NEAR Intents", () => {
  let near: LabNear;
  before(async () => {
    near = await startNear({ market: "replay" });
  });
  after(() => near.close());
  const check = (
    values: Record<string, unknown> = {},
    environment: Record<string, string> = {},
    venue: object = {},
  ) =>
    checkNear(
      contextOf(
        {
          nearRelayToken: near.token,
          nearSignerId: near.signerId,
          nearPrivateKey: near.privateKey,
          venues: {
            nearIntents: {
              relayWebSocketUrl: near.ws,
              relayRpcUrl: near.rpc,
              salt: near.salt,
              ...venue,
            },
          },
          ...values,
        },
        { environment },
      ),
    );
  /** SIMULATED: the chain's RPC, which answers views of the contract. */
  const chain = (known: boolean, salt: string) =>
    serve((request, response) => {
      let text = "";
      request.on("data", (chunk: Buffer) => (text += chunk.toString()));
      request.on("end", () => {
        const { params } = JSON.parse(text) as { params: { method_name: string; account_id: string } };
        assert.equal(params.account_id, "intents.near");
        const value = params.method_name === "current_salt" ? salt : known;
        response.end(JSON.stringify({ result: { result: [...Buffer.from(JSON.stringify(value))] } }));
      });
    });

  test("key, token on both ways in, and no call to a public chain for a relay on this machine", async (context) => {
    const fetched = context.mock.method(globalThis, "fetch");
    const findings = await check();
    assert.deepEqual(bad(findings), []);
    expectFinding(findings, "ok", /public half is ed25519:/);
    expectFinding(findings, "ok", /RPC answers/);
    expectFinding(findings, "ok", /lets the token in/);
    expectFinding(findings, "note", /chain was not asked/);
    const hosts = fetched.mock.calls.map(({ arguments: [url] }) => new URL(url as string).hostname);
    assert.deepEqual(new Set(hosts), new Set(["127.0.0.1"]));
  });

  test("a token that is refused", async () => {
    const findings = await check({ nearRelayToken: "the-token" });
    assert.equal(findings.filter(({ verdict }) => verdict === "refused").length, 2);
    assert.deepEqual(expectFinding(findings, "refused", /refuses the token/).keys, ["nearRelayToken"]);
    assert.equal(JSON.stringify(findings).includes("the-token"), false);
  });

  test("a private key that is none, and one of another account", async () => {
    const none = await check({ nearPrivateKey: "ed25519:abc" });
    assert.equal(none.length, 1);
    assert.deepEqual(expectFinding(none, "refused", /64 or 32 bytes/).keys, [
      "nearSignerId",
      "nearPrivateKey",
    ]);
    const other = await check({ nearSignerId: "0".repeat(64) });
    expectFinding(other, "refused", /belongs to another key/);
    for (const findings of [none, other])
      assert.equal(JSON.stringify(findings).includes(near.privateKey.slice(8)), false);
  });

  test("the contract's word on key and salt, where a chain is named", async () => {
    const ask = async (known: boolean, salt: string) => check({}, { NEAR_RPC_URL: await chain(known, salt) });
    const right = await ask(true, near.salt);
    assert.deepEqual(bad(right), []);
    expectFinding(right, "ok", /takes this key/);
    const wrong = await ask(false, "00000000");
    expectFinding(wrong, "refused", /does not take this key/);
    assert.deepEqual(expectFinding(wrong, "refused", /The contract's salt is "00000000"/).keys, [
      "venues.nearIntents.salt",
    ]);
    const silent = await check({}, { NEAR_RPC_URL: await nowhere() });
    assert.deepEqual(bad(silent), []);
    expectFinding(silent, "note", /could not be asked/);
  });

  test("nobody there, and somebody who is no relay", async () => {
    const url = await nowhere();
    const gone = await check({}, {}, { relayRpcUrl: url, relayWebSocketUrl: url.replace("http", "ws") });
    assert.equal(gone.filter(({ verdict }) => verdict === "unreachable").length, 2);
    const other = await serve((_request, response) => response.end("hello"));
    const strange = await check(
      {},
      {},
      { relayRpcUrl: other, relayWebSocketUrl: other.replace("http", "ws") },
    );
    assert.equal(strange.filter(({ verdict }) => verdict === "unreachable").length, 2);
  });
});

test("networks that nobody comes from are told", async () => {
  const findings = await checkAccess(contextOf({ adminCidrs: ["88.99.1.2/32", "192.168.1.0/24"] }));
  expectFinding(findings, "warning", /Nobody comes from 192\.168\.1\.0\/24/);
  assert.equal((await checkAccess(contextOf({ adminCidrs: ["88.99.1.2/32"] }))).length, 1);
  const all = await checkAccess(contextOf({ adminCidrs: ["0.0.0.0/1", "128.0.0.0/1"] }));
  expectFinding(all, "warning", /nearly everybody/);
});

test("the branch that Argo CD follows is looked for, without credentials", async () => {
  const check = (gitops: object) => checkDelivery(contextOf({ delivery: "gitops", gitops }));
  const closed = await serve((_request, response) => response.writeHead(401).end());
  expectFinding(
    await check({ repository: `${closed}/a.git`, revision: "master" }),
    "warning",
    /could not be read without a credential/,
  );
  // The answer of a Git server to what it has: pkt-line, a line with its length in front.
  const line = (text: string) => (text.length + 4).toString(16).padStart(4, "0") + text;
  const refs = `${line("# service=git-upload-pack\n")}0000${line(`${"1".repeat(40)} refs/heads/master\0agent=x\n`)}0000`;
  const open = await serve((_request, response) =>
    response.setHeader("content-type", "application/x-git-upload-pack-advertisement").end(refs),
  );
  expectFinding(await check({ repository: `${open}/a.git`, revision: "master" }), "ok", /has master/);
  expectFinding(
    await check({ repository: `${open}/a.git`, revision: "main" }),
    "warning",
    /no branch or tag main/,
  );
  expectFinding(await check({ repository: "git@git.example:a.git", revision: "x" }), "note", /was not asked/);
});
