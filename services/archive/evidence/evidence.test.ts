import assert from "node:assert/strict";
import { createHash, generateKeyPairSync, sign } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { gunzipSync } from "node:zlib";
import { pino } from "pino";
import { readConfig } from "../../core/config.ts";
import { MemoryStore } from "../memory-store.ts";
import { ArchiveStoreError } from "../store.ts";
import { collectEvidence, type EvidenceIndex, type EvidenceSource } from "./collect.ts";
import { EvidenceOutput } from "./output.ts";
import { evidenceSources, evidenceVariables } from "./settings.ts";

const directory = mkdtempSync(path.join(tmpdir(), "evidence-"));
const closing: (() => void)[] = [() => rmSync(directory, { recursive: true, force: true })];
after(() => {
  for (const close of closing.reverse()) close();
});

const identity = { stack: "dev", businessDate: "2025-10-14", clusterId: "c".repeat(22) };
const opened = {
  ...identity,
  kafkaClusterId: identity.clusterId,
  openedAt: new Date(Date.now() - 86_400_000).toISOString(),
};

/** A self-signed certificate of `localhost` (X.509 version 1), made here because a key must not stand in Git. */
function certificate(): { key: string; cert: string } {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const der = (tag: number, ...parts: Buffer[]): Buffer => {
    const content = Buffer.concat(parts);
    const { length } = content;
    const size = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 255];
    return Buffer.concat([Buffer.from([tag, ...size]), content]);
  };
  const algorithm = der(0x30, der(0x06, Buffer.from("2a8648ce3d040302", "hex")));
  const commonName = der(0x30, der(0x06, Buffer.from("550403", "hex")), der(0x0c, Buffer.from("localhost")));
  const name = der(0x30, der(0x31, commonName));
  const day = (years: number): Buffer =>
    der(
      0x17,
      Buffer.from(`${String((new Date().getUTCFullYear() + years) % 100).padStart(2, "0")}0101000000Z`),
    );
  const body = der(
    0x30,
    der(0x02, Buffer.from([1])),
    algorithm,
    name,
    der(0x30, day(-1), day(2)),
    name,
    publicKey.export({ type: "spki", format: "der" }),
  );
  const signature = der(0x03, Buffer.from([0]), sign("sha256", body, privateKey));
  const text = der(0x30, body, algorithm, signature)
    .toString("base64")
    .match(/.{1,64}/g)
    ?.join("\n");
  return {
    key: privateKey.export({ type: "pkcs8", format: "pem" }) as string,
    cert: `-----BEGIN CERTIFICATE-----\n${text}\n-----END CERTIFICATE-----\n`,
  };
}

async function serve(listener: RequestListener, tls?: { key: string; cert: string }): Promise<string> {
  const server = tls === undefined ? createServer(listener) : createTlsServer(tls, listener);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closing.push(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return tls === undefined ? `http://127.0.0.1:${port}` : `https://localhost:${port}`;
}

function json(response: ServerResponse, body: unknown, status = 200): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
}

/** Collects and reads back. @returns what the index says, and the files' content by name. */
async function collect(sources: readonly EvidenceSource[], timeoutMs = 10_000) {
  const store = new MemoryStore();
  const archive = store.archive(identity);
  await archive.write("opened.json", opened);
  const listed = await collectEvidence({
    archive,
    sources,
    timeoutMs,
    logger: pino({ level: "silent" }),
    signal: new AbortController().signal,
    onProgress: () => undefined,
    generation: 3,
  });
  const stored = (await store.list(`${archive.prefix}evidence/`)).map(({ key }) => key);
  assert.deepEqual(
    listed.map(({ name }) => archive.prefix + name),
    stored,
    "what is stored is listed",
  );
  const files: Record<string, string> = {};
  for (const { name, bytes, sha256, etag } of listed) {
    const body = store.objects.get(archive.prefix + name) as Buffer;
    assert.equal(body.length, bytes);
    assert.equal(createHash("sha256").update(body).digest("hex"), sha256);
    assert.equal(etag, (await store.head(archive.prefix + name))?.etag);
    const short = name.replace("evidence/3/", "");
    files[short] = (name.endsWith(".gz") ? gunzipSync(body) : body).toString("utf8");
  }
  const index = JSON.parse(files["index.json"] ?? "null") as EvidenceIndex;
  delete files["index.json"];
  return { index, files };
}

/** Simulated: answers as the Kubernetes API does, and to the token `right` only. */
function simulatedKubernetes(seen: string[]): RequestListener {
  const pod = (name: string, restartCount: number) => ({
    metadata: { name },
    spec: { initContainers: [{ name: "init" }], containers: [{ name: "main" }] },
    status: { containerStatuses: [{ name: "main", restartCount }] },
  });
  return (request: IncomingMessage, response) => {
    const url = new URL(request.url ?? "", "http://k");
    seen.push(`${request.method} ${url.pathname}`);
    if (request.headers.authorization !== "Bearer right") {
      return json(response, { kind: "Status", message: "Unauthorized" }, 401);
    }
    const query = url.searchParams;
    switch (url.pathname) {
      case "/api/v1/namespaces/kafka/pods":
        // Two pages.
        if (query.get("continue") === null) {
          return json(response, { metadata: { continue: "more" }, items: [pod("archiver-1", 2)] });
        }
        return json(response, { metadata: { continue: "" }, items: [pod("broker-0", 0)] });
      case "/api/v1/namespaces/kafka/events":
        return json(response, {
          metadata: {},
          items: [{ reason: "Killing", message: "Stopping container" }],
        });
      case "/api/v1/namespaces/strategies/pods":
        return json(response, { kind: "Status", message: 'pods is forbidden: User "x" cannot list' }, 403);
      case "/api/v1/namespaces/strategies/events":
        return json(response, { metadata: {}, items: [] });
      case "/api/v1/namespaces/kafka/pods/broker-0/log":
        if (query.get("container") === "init") {
          return json(response, { kind: "Status", message: "container init is waiting to start" }, 400);
        }
    }
    assert.equal(query.get("timestamps"), "true");
    response.end(`${url.pathname} ${query.get("container")} ${query.get("previous") ?? "now"}\n`);
  };
}

test("Kubernetes (simulated, over TLS): logs of all containers and their lives before, events; what is refused is named", async () => {
  const seen: string[] = [];
  const tls = certificate();
  const url = await serve(simulatedKubernetes(seen), tls);
  const file = (name: string, content: string): string => {
    writeFileSync(path.join(directory, name), content);
    return path.join(directory, name);
  };
  const environment = {
    EVIDENCE_KUBERNETES_NAMESPACES: "kafka,strategies",
    EVIDENCE_KUBERNETES_URL: url,
    EVIDENCE_KUBERNETES_TOKEN_FILE: file("token", "right\n"),
    EVIDENCE_KUBERNETES_CA_FILE: file("ca.crt", tls.cert),
  };
  const { index, files } = await collect(evidenceSources(readConfig(evidenceVariables, environment)));
  const base = "/api/v1/namespaces/kafka/pods";
  assert.deepEqual(files, {
    "kubernetes/kafka/archiver-1/init.log.gz": `${base}/archiver-1/log init now\n`,
    "kubernetes/kafka/archiver-1/main.log.gz": `${base}/archiver-1/log main now\n`,
    "kubernetes/kafka/archiver-1/main.previous.log.gz": `${base}/archiver-1/log main true\n`,
    "kubernetes/kafka/broker-0/main.log.gz": `${base}/broker-0/log main now\n`,
    "kubernetes/kafka/events.ndjson.gz": '{"reason":"Killing","message":"Stopping container"}\n',
  });
  const [source, ...others] = index.sources;
  assert.equal(others.length, 0);
  assert.deepEqual([source?.state, source?.files, index.from], ["incomplete", 5, opened.openedAt]);
  assert.equal(source?.problems.length, 2);
  assert.match(source.problems.join("\n"), /pods of strategies: .*403.*pods is forbidden/);
  assert.match(source.problems.join("\n"), /log of kafka\/broker-0\/init: .*400.*waiting to start/);
  assert.ok(seen.every((line) => line.startsWith("GET ")));

  // A certificate of somebody else is refused, whatever it answers.
  const other = { ...environment, EVIDENCE_KUBERNETES_CA_FILE: file("other.crt", certificate().cert) };
  const refused = await collect(evidenceSources(readConfig(evidenceVariables, other)));
  assert.deepEqual([refused.index.sources[0]?.state, refused.files], ["missing", {}]);
  assert.match(
    refused.index.sources[0]?.problems.join("\n") ?? "",
    /self.signed certificate|unable to verify/,
  );
  const gone = { ...environment, EVIDENCE_KUBERNETES_TOKEN_FILE: path.join(directory, "none") };
  const without = await collect(evidenceSources(readConfig(evidenceVariables, gone)));
  assert.match(without.index.sources[0]?.problems[0] ?? "", /ENOENT.*none/);
});

test("Prometheus (simulated): raw samples of every metric, in halves where an answer is too large", async () => {
  const asked: string[] = [];
  const url = await serve((request, response) => {
    const { pathname, searchParams: query } = new URL(request.url ?? "", "http://p");
    if (pathname === "/api/v1/label/__name__/values") {
      return json(response, { status: "success", data: ["up", 'odd"name', "huge", "broken"] });
    }
    const text = query.get("query") ?? "";
    const [, name = "", seconds = "0"] = /^\{__name__=(".*")\}\[(\d+)s\]$/.exec(text) ?? [];
    asked.push(text);
    const time = Number(query.get("time"));
    if (name === '"broken"') return json(response, { status: "error", error: "out of memory" }, 503);
    if (name === '"huge"' && Number(seconds) > 10_000) {
      return json(response, { status: "error", error: "query processing would load too many samples" }, 422);
    }
    const series = { metric: { __name__: JSON.parse(name) as string }, values: [[time - 1, "1"]] };
    return json(response, { status: "success", data: { resultType: "matrix", result: [series] } });
  });
  const sources = evidenceSources(readConfig(evidenceVariables, { EVIDENCE_PROMETHEUS_URL: url }));
  const { index, files } = await collect(sources);
  assert.deepEqual(Object.keys(files), ["prometheus/samples.ndjson.gz"]);
  const lines = (files["prometheus/samples.ndjson.gz"] ?? "").trimEnd().split("\n");
  const samples = lines.map(
    (line) => JSON.parse(line) as { metric: { __name__: string }; values: [number, string][] },
  );
  const of = (name: string) => samples.filter(({ metric }) => metric.__name__ === name);
  assert.equal(of("up").length, 1);
  assert.equal(of('odd"name').length, 1);
  const pieces = of("huge").map(({ values }) => values[0]?.[0] ?? 0);
  assert.equal(pieces.length, 16, "a day in pieces of at most 10,000 s");
  assert.deepEqual(
    pieces,
    [...pieces].sort((a, b) => a - b),
    "in order of time, none twice",
  );
  assert.equal(new Set(pieces).size, pieces.length);
  assert.equal(asked.length, 3 + 16 + 15);
  assert.deepEqual(index.sources[0]?.state, "incomplete");
  assert.match(index.sources[0]?.problems.join("\n") ?? "", /^samples of broken: .*503.*out of memory/);
});

test("log files and metrics pages: what is there is kept, what does not answer is named", async () => {
  const logs = mkdtempSync(path.join(directory, "logs-"));
  const long = Array.from(
    { length: 60_000 },
    (_, line) => `{"line":${line},"noise":"${createHash("sha256").update(String(line)).digest("hex")}"}\n`,
  );
  writeFileSync(path.join(logs, "executor alpaca.log"), long.join(""));
  writeFileSync(path.join(logs, "empty.log"), "");
  writeFileSync(path.join(logs, "not-a-log.txt"), "x");
  const url = await serve((_request, response) => response.end("up 1\n"));
  const environment = {
    EVIDENCE_LOG_DIRECTORY: logs,
    EVIDENCE_SCRAPE_URLS: `one=${url}/metrics,two=http://127.0.0.1:1/metrics`,
  };
  const { index, files } = await collect(evidenceSources(readConfig(evidenceVariables, environment)));
  assert.deepEqual(Object.keys(files), ["logs/executor_alpaca.log.gz", "metrics/one.prom.gz"]);
  assert.equal(files["logs/executor_alpaca.log.gz"], long.join(""));
  assert.equal(files["metrics/one.prom.gz"], "up 1\n");
  assert.deepEqual(
    index.sources.map(({ name, state }) => `${name} ${state}`),
    ["logs complete", "metrics incomplete"],
  );
  assert.match(index.sources[1]?.problems[0] ?? "", /metrics of two: .*does not answer: .*ECONNREFUSED/);
  const nowhere = evidenceSources(
    readConfig(evidenceVariables, { EVIDENCE_LOG_DIRECTORY: path.join(directory, "no") }),
  );
  assert.equal((await collect(nowhere)).index.sources[0]?.state, "missing");
  assert.throws(
    () => readConfig(evidenceVariables, { EVIDENCE_SCRAPE_URLS: "http://host/metrics" }),
    /EVIDENCE_SCRAPE_URLS: expected name=http/,
  );
});

test("a source that hangs ends in time and keeps what it has; a bucket that fails is an error; no sources, no evidence", async () => {
  const url = await serve((request, response) => {
    if (request.url === "/quick") response.end("up 1\n");
  });
  const scrapes = { EVIDENCE_SCRAPE_URLS: `quick=${url}/quick,never=${url}/never` };
  const { index, files } = await collect(evidenceSources(readConfig(evidenceVariables, scrapes)), 300);
  assert.deepEqual(Object.keys(files), ["metrics/quick.prom.gz"]);
  assert.deepEqual(index.sources[0]?.problems, ["not done within 0.3 s"]);
  const full: EvidenceSource = {
    name: "full",
    collect: () => Promise.reject(new ArchiveStoreError("the bucket is full")),
  };
  await assert.rejects(collect([full]), /the bucket is full/);
  const archive = new MemoryStore().archive(identity);
  const options = { archive, timeoutMs: 1, logger: pino({ level: "silent" }), onProgress: () => undefined };
  const { signal } = new AbortController();
  assert.deepEqual(await collectEvidence({ ...options, sources: [], signal, generation: 1 }), []);
});

test("a long file goes into several objects, cut at lines; no byte is lost", async () => {
  const store = new MemoryStore();
  const output = new EvidenceOutput(store.archive(identity), "evidence/1/logs/");
  const file = output.file("long", "log");
  let expected = "";
  for (let line = 0; line < 90_000; line++) {
    const text = `${createHash("sha512").update(String(line)).digest("base64")}\n`;
    expected += text;
    // Pieces that end in the middle of lines.
    await file.write(text.slice(0, 10));
    await file.write(Buffer.from(text.slice(10)));
  }
  await file.end();
  const texts = output.files.map(({ name }) =>
    gunzipSync(store.objects.get(`dev/2025-10-14/${identity.clusterId}/${name}`) as Buffer).toString(),
  );
  assert.deepEqual(
    output.files.map(({ name }) => name),
    ["evidence/1/logs/long.log.gz", "evidence/1/logs/long.part-2.log.gz"],
  );
  assert.equal(texts.join(""), expected);
  assert.ok(texts.every((text) => text.endsWith("\n")));
});
