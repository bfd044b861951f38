import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingMessage, request, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { after, afterEach, before, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { type FaultyObjectStore, startFaults } from "./faults.ts";

/** A server that remembers what reached it whole, and answers the body it got. */
const reached: { method: string; url: string; host: string; body: string }[] = [];
let server: Server;
let faults: FaultyObjectStore;

before(async () => {
  server = createServer((incoming, outgoing) => {
    void read(incoming).then(
      (body) => {
        const { method = "", url = "", headers } = incoming;
        reached.push({ method, url, host: headers.host ?? "", body });
        outgoing.writeHead(200, { "x-one": ["a", "b"], "content-length": Buffer.byteLength(body) }).end(body);
      },
      () => undefined,
    );
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  faults = await startFaults(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
});
afterEach(() => {
  faults.clear();
  reached.length = 0;
});
after(async () => {
  await faults.close();
  server.close();
  server.closeAllConnections();
});

async function read(stream: AsyncIterable<unknown>): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

/** A new connection each time, as none of these may disturb the next. */
async function put(body: string, path = "/bucket/a%20b?x=1", signal?: AbortSignal) {
  const outgoing = request(faults.endpoint + path, {
    method: "PUT",
    agent: false,
    ...(signal === undefined ? {} : { signal }),
    headers: { "content-length": Buffer.byteLength(body) },
  });
  const answered = once(outgoing, "response") as Promise<[IncomingMessage]>;
  outgoing.end(body);
  const [answer] = await answered;
  return { status: answer.statusCode, headers: answer.headersDistinct, body: await read(answer) };
}

const broken = { code: "ECONNRESET" };

test("without a fault everything passes unchanged, the Host header included", async () => {
  const answer = await put("hello");
  assert.equal(answer.body, "hello");
  assert.deepEqual(answer.headers["x-one"], ["a", "b"]);
  assert.deepEqual(reached, [
    { method: "PUT", url: "/bucket/a%20b?x=1", host: new URL(faults.endpoint).host, body: "hello" },
  ]);
  const seen = faults.requests.at(-1);
  assert.equal(seen?.path, "/bucket/a b");
  assert.equal(seen.query.get("x"), "1");
  assert.equal(seen.bytes, 5);
});

test("a fault hits what it matches, as often as it is told", async () => {
  const fault = faults.add({
    kind: "error",
    status: 503,
    code: "SlowDown",
    times: 1,
    matches: ({ path }) => path === "/bucket/hit",
  });
  assert.equal((await put("x", "/bucket/other")).status, 200);
  const answer = await put("x", "/bucket/hit");
  assert.equal(answer.status, 503);
  assert.match(answer.body, /<Code>SlowDown<\/Code>/);
  assert.equal((await put("x", "/bucket/hit")).status, 200);
  assert.equal(fault.hits, 1);
  assert.equal(reached.length, 2);
});

test("connections are reset, before the request or instead of the answer", async () => {
  const before = faults.add({ kind: "reset" });
  await assert.rejects(put("x"), broken);
  assert.equal(reached.length, 0);
  before.remove();
  faults.add({ kind: "lose-answer" });
  await assert.rejects(put("x"), broken);
  assert.equal(reached.length, 1);
});

test("bodies are cut on their way to the server and back", async () => {
  const request = faults.add({ kind: "cut-request", afterBytes: 3 });
  await assert.rejects(put("hello"), broken);
  assert.equal(reached.length, 0);
  request.remove();
  faults.add({ kind: "cut-answer", afterBytes: 3 });
  await assert.rejects(put("hello"), broken);
  assert.equal(reached.length, 1);
});

test("one bit is flipped, in the last byte when there are fewer", async () => {
  const request = faults.add({ kind: "corrupt-request", atByte: 1 });
  assert.equal((await put("aaa")).body, "a`a");
  request.remove();
  const answer = faults.add({ kind: "corrupt-answer", atByte: 100 });
  assert.equal((await put("aaa")).body, "aa`");
  assert.equal(reached.at(-1)?.body, "aaa");
  answer.remove();
});

test("slow: not before its time", async () => {
  faults.add({ kind: "slow", latencyMs: 30, bytesPerSecond: 1_000 });
  const start = performance.now();
  assert.equal((await put("x".repeat(20))).status, 200);
  assert.ok(performance.now() - start >= 65, "30 ms, and 20 ms each way");
});

test("a hanging request never reaches the server", async () => {
  const fault = faults.add({ kind: "hang" });
  const stop = new AbortController();
  const broke = assert.rejects(put("x", "/bucket/key", stop.signal), { name: "AbortError" });
  // One that is given up before it arrived would meet the next test's faults.
  while (fault.hits === 0) await delay(1);
  stop.abort();
  await broke;
  assert.equal(reached.length, 0);
});

test("something happens before a request, or between its answer and the client", async () => {
  const order: string[] = [];
  faults.add({
    kind: "meanwhile",
    before: ({ method }) => void order.push(`before ${method}, ${reached.length} reached`),
    after: () => void order.push(`after, ${reached.length} reached`),
  });
  await put("x");
  assert.deepEqual(order, ["before PUT, 0 reached", "after, 1 reached"]);
});

test("a connection that ends meanwhile: nothing reaches the server", async () => {
  let gone = (): void => undefined;
  const wait = new Promise<void>((resolve) => (gone = resolve));
  const fault = faults.add({ kind: "meanwhile", before: () => wait });
  const broke = assert.rejects(put("x"), broken);
  while (fault.hits === 0) await delay(1);
  await faults.down();
  await broke;
  gone();
  await faults.up();
  faults.clear();
  await put("y");
  assert.deepEqual(
    reached.map(({ body }) => body),
    ["y"],
  );
});

test("down: connections are refused; up: the same address answers again", async () => {
  await faults.down();
  await assert.rejects(put("x"), { code: "ECONNREFUSED" });
  await faults.down();
  await faults.up();
  await faults.up();
  assert.equal((await put("x")).status, 200);
});
