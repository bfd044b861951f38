import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, test } from "node:test";
import { type Notice, type Notifier, openNotifier } from "./notifier.ts";
import { readSecretUrl } from "./secret-url.ts";

/** What one request is answered with. */
type Answer = number | { status: number; headers: Record<string, string> } | "hang";

interface Seen {
  method: string;
  path: string;
  body: string;
}

/** A real HTTP server that answers as it is told, in order, and then with 200. */
async function startReceiver() {
  const answers: Answer[] = [];
  const seen: Seen[] = [];
  const server = createServer((request: IncomingMessage, response: ServerResponse) => {
    let body = "";
    request.on("data", (data: Buffer) => (body += data.toString()));
    request.on("end", () => {
      seen.push({ method: request.method ?? "", path: request.url ?? "", body });
      const answer = answers.shift() ?? 200;
      if (answer === "hang") return;
      const { status, headers = {} } = typeof answer === "number" ? { status: answer } : answer;
      response.writeHead(status, headers).end(`${server.listening} ${request.url}`);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    seen,
    answers,
    url: `http://127.0.0.1:${port}`,
    close: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}

let receiver: Awaited<ReturnType<typeof startReceiver>>;
let notes: string[];
beforeEach(async () => {
  receiver = await startReceiver();
  notes = [];
});
afterEach(() => receiver.close());

const secret = "T000-B000-xyzzy";
const notice: Notice = {
  kind: "unsealed",
  stack: "prod",
  cluster: "prod/2026-11-20/abcA",
  text: "Its archive is not sealed.",
  at: "2026-11-20T23:30:00.000Z",
  pricePerHour: "0.2051",
};

function notifier(
  environment: Record<string, string> = { TRADING_WEBHOOK_URL: `${receiver.url}/${secret}` },
  signal = new AbortController().signal,
): Notifier {
  return openNotifier({
    environment,
    signal,
    reporter: { note: (line) => void notes.push(line) },
    patience: {
      requestTimeoutMs: 1_000,
      firstDelayMs: 5,
      maxDelayMs: 20,
      deadlineMs: 2_000,
      interruptedMs: 2_000,
    },
  });
}

function demandSecret(): void {
  const said = notes.join("\n");
  assert.ok(!said.includes(secret) && !said.includes(receiver.url), `no address in: ${said}`);
}

describe("the webhook", () => {
  test("one body that all receivers show, with price, cluster and the link of the run", async () => {
    const told = notifier({
      TRADING_WEBHOOK_URL: `${receiver.url}/${secret}`,
      GITHUB_SERVER_URL: "https://git.example.com",
      GITHUB_REPOSITORY: "us/trading",
      GITHUB_RUN_ID: "7",
    });
    assert.equal(await told.tell(notice), true);
    const [request] = receiver.seen;
    assert.deepEqual([request?.method, request?.path], ["POST", `/${secret}`]);
    const body = JSON.parse(request?.body ?? "") as Record<string, unknown>;
    const { text, content, ...rest } = body;
    assert.equal(text, content);
    assert.equal(
      text,
      "trading prod: UNSEALED PAST ITS DEADLINE\nIts archive is not sealed.\nCluster: prod/2026-11-20/abcA\n" +
        "It costs 0.2051 EUR per started hour (net).\nhttps://git.example.com/us/trading/actions/runs/7",
    );
    assert.deepEqual(rest, {
      title: "trading prod: UNSEALED PAST ITS DEADLINE",
      kind: "unsealed",
      stack: "prod",
      cluster: "prod/2026-11-20/abcA",
      at: "2026-11-20T23:30:00.000Z",
      price_per_hour_eur: "0.2051",
      link: "https://git.example.com/us/trading/actions/runs/7",
    });
    assert.deepEqual(notes, []);
  });

  test("the longest text still fits where the least does, and keeps price and cluster", async () => {
    await notifier().tell({ ...notice, text: "x".repeat(10_000) });
    const { content } = JSON.parse(receiver.seen[0]?.body ?? "") as { content: string };
    assert.ok(content.length <= 2_000);
    assert.match(content, /x…\nCluster: prod\/2026-11-20\/abcA\nIt costs 0\.2051 EUR/);
  });

  for (const [name, answers] of [
    ["500s", [500, 502, 503]],
    ["an answer that does not come", ["hang"]],
    ["too many requests", [429]],
  ] as const) {
    test(`${name}: it is tried again until it arrives`, async () => {
      receiver.answers.push(...answers);
      assert.equal(await notifier().tell(notice), true);
      assert.equal(receiver.seen.length, answers.length + 1);
      assert.deepEqual(notes, []);
    });
  }

  test("Retry-After counts, in seconds with decimals and as a date", async () => {
    receiver.answers.push({ status: 429, headers: { "retry-after": "0.4" } });
    const started = performance.now();
    assert.equal(await notifier().tell(notice), true);
    assert.ok(performance.now() - started >= 390, "it was waited for");
    receiver.answers.push({
      status: 503,
      headers: { "retry-after": new Date(Date.now() + 3_600_000).toUTCString() },
    });
    assert.equal(await notifier().tell(notice), false);
    assert.equal(receiver.seen.length, 3, "an hour is longer than anybody waits, so nothing more is tried");
    assert.match(notes.join("\n"), /one attempt.*status 503/);
    demandSecret();
  });

  test("it ends in time, whatever the receiver does, with a warning without the address", async () => {
    receiver.answers.push(...Array.from({ length: 1_000 }, () => 500));
    const started = performance.now();
    assert.equal(await notifier().tell(notice), false);
    assert.ok(performance.now() - started < 10_000);
    assert.match(notes.join("\n"), /warning: .*prod: UNSEALED.*attempts.*status 500/);
    demandSecret();
  });

  test("an attempt that the deadline cuts short does not hide what was answered before", async () => {
    receiver.answers.push({ status: 500, headers: { "retry-after": "1.5" } }, "hang");
    assert.equal(await notifier().tell(notice), false);
    assert.equal(receiver.seen.length, 2);
    assert.match(notes.join("\n"), /2 attempts.*status 500/);
  });

  test("nobody there: a warning", async () => {
    const told = notifier();
    await receiver.close();
    assert.equal(await told.tell(notice), false);
    assert.match(notes.join("\n"), /cannot be reached \(ECONNREFUSED\)/);
    demandSecret();
  });

  test("what is refused for good is not tried again; a redirection is followed by nobody", async () => {
    for (const answer of [404, { status: 302, headers: { location: `${receiver.url}/elsewhere` } }]) {
      receiver.answers.push(answer);
      assert.equal(await notifier().tell(notice), false);
    }
    assert.deepEqual(
      receiver.seen.map(({ path }) => path),
      [`/${secret}`, `/${secret}`],
    );
    demandSecret();
  });

  test("who takes no other fields gets the text alone", async () => {
    receiver.answers.push(400);
    assert.equal(await notifier().tell(notice), true);
    assert.deepEqual(Object.keys(JSON.parse(receiver.seen[1]?.body ?? "") as object), ["text"]);
  });

  test("an interruption is told, by one attempt, and ends the repetitions of what is under way", async () => {
    const abort = new AbortController();
    receiver.answers.push("hang");
    const under = notifier(undefined, abort.signal).tell(notice);
    abort.abort();
    assert.equal(await under, false);
    const before = receiver.seen.length;
    receiver.answers.length = 0;
    assert.equal(await notifier(undefined, abort.signal).tell(notice), true);
    receiver.answers.push(500);
    assert.equal(await notifier(undefined, abort.signal).tell(notice), false);
    assert.equal(receiver.seen.length, before + 2);
  });
});

describe("the heartbeat", () => {
  const beats = async (url: string): Promise<string[]> => {
    const told = notifier({ TRADING_HEARTBEAT_URL: url });
    for (const heartbeat of ["start", "success", "fail"] as const) await told.beat("guard", heartbeat);
    return receiver.seen.splice(0).map(({ method, path }) => `${method} ${path}`);
  };

  test("the address itself, and with /start and /fail; what is asked beside stays; the job takes its place", async () => {
    assert.deepEqual(await beats(`${receiver.url}/${secret}`), [
      `GET /${secret}/start`,
      `GET /${secret}`,
      `GET /${secret}/fail`,
    ]);
    assert.deepEqual(await beats(`${receiver.url}/key/prod-{job}?create=1&tag={job}`), [
      "GET /key/prod-guard/start?create=1&tag=guard",
      "GET /key/prod-guard?create=1&tag=guard",
      "GET /key/prod-guard/fail?create=1&tag=guard",
    ]);
    assert.deepEqual(notes, []);
  });

  test("is tried again; who knows no start and no fail is no matter, who does not take a success is", async () => {
    const told = notifier({ TRADING_HEARTBEAT_URL: `${receiver.url}/${secret}` });
    receiver.answers.push(500);
    assert.equal(await told.beat("open"), true);
    receiver.answers.push(404, 405);
    await told.beat("open", "start");
    await told.beat("open", "fail");
    assert.deepEqual(notes, []);
    receiver.answers.push(404);
    assert.equal(await told.beat("open"), false);
    assert.match(notes.join("\n"), /heartbeat of open .*status 404/);
    demandSecret();
  });
});

describe("without addresses", () => {
  test("nothing is sent, and it is said once", async () => {
    const told = notifier({});
    assert.equal(await told.tell(notice), false);
    await told.tell(notice);
    await told.beat("close");
    assert.deepEqual(notes, ["nobody is told: neither TRADING_WEBHOOK_URL nor TRADING_HEARTBEAT_URL is set"]);
  });

  test("a wrong one is a warning at once that does not show it, and stops nothing", async () => {
    const told = notifier({
      TRADING_WEBHOOK_URL: `http://hooks.example.com/${secret}`,
      TRADING_HEARTBEAT_URL: `hc-ping.com/${secret}`,
    });
    assert.match(notes.join("\n"), /TRADING_WEBHOOK_URL begins with http:; expected https:/);
    assert.match(notes.join("\n"), /TRADING_HEARTBEAT_URL is no URL/);
    demandSecret();
    await told.tell(notice);
  });

  test("http is for this very machine only", () => {
    for (const url of [
      "http://127.0.0.1:1/x",
      "http://localhost/x",
      "http://[::1]:2/x",
      "https://a.example/",
    ])
      assert.ok("url" in (readSecretUrl("X", url) ?? {}), url);
    for (const url of ["http://127.0.0.1.example.com/", "http://10.0.0.1/", "ftp://localhost/", "nonsense"])
      assert.ok("mistake" in (readSecretUrl("X", url) ?? {}), url);
    assert.deepEqual(readSecretUrl("X", "half:other"), {
      mistake:
        "X does not begin with https:; expected https: (http: only for this very machine), since it is a secret",
    });
    assert.equal(readSecretUrl("X", " "), undefined);
  });
});
