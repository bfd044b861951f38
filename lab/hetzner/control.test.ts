import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { startTestClient, type TestClient } from "./testing/client.ts";

describe("the lab's control endpoint", () => {
  let client: TestClient;
  before(async () => (client = await startTestClient()));
  after(() => client.hetzner.close());

  const call = async (method: string, path: string, body?: unknown, token = client.hetzner.token) => {
    const response = await fetch(client.hetzner.control + path, {
      method,
      headers: { authorization: `Bearer ${token}` },
      ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  };

  test("is on loopback, apart from the API, and takes the token only", async () => {
    assert.match(client.hetzner.control, /^http:\/\/127\.0\.0\.1:\d+\/lab$/);
    assert.notEqual(new URL(client.hetzner.control).port, new URL(client.hetzner.endpoint).port);
    assert.equal((await call("GET", "/faults", undefined, "wrong")).status, 401);
    await client.refused("not_found", "GET", "/lab/faults");
    assert.equal((await call("GET", "/servers")).status, 404);
  });

  test("adds faults, tells what came of them and takes them away", async () => {
    const rule = { at: "request", path: "/ssh_keys", effect: { kind: "error", code: "conflict" } };
    const added = await call("POST", "/faults", { seed: 7, rules: [rule, { ...rule, id: "named" }] });
    assert.equal(added.status, 201);
    const [first] = added.body["ids"] as string[];
    await client.refused("conflict", "GET", "/ssh_keys");
    const report = (await call("GET", "/faults")).body["faults"] as { id: string; hit: number }[];
    assert.deepEqual(
      report.map(({ id, hit }) => [id, hit]),
      [
        [first, 1],
        ["named", 1],
      ],
    );
    assert.deepEqual((await call("DELETE", "/faults/named")).body, { removed: 1 });
    assert.deepEqual((await call("DELETE", "/faults")).body, { removed: 1 });
    await client.expect(200, "GET", "/ssh_keys");
  });

  test("moves the clock, changes the stock, shows bill, timeline and requests", async () => {
    const now = client.hetzner.clock.date().getTime();
    await call("POST", "/clock/advance", { ms: 3_600_000 });
    const clock = (await call("GET", "/clock")).body as { now: string; speed: number };
    assert.ok(Date.parse(clock.now) >= now + 3_600_000);
    assert.equal(clock.speed, 1);

    const offer = async () => {
      const { server_types: types } = await client.expect(200, "GET", "/server_types?name=cpx32");
      const found = types[0]?.locations.find(({ name }) => name === "fsn1");
      return [found?.available, found?.deprecation?.unavailable_after];
    };
    const wish = { name: "s", server_type: "cpx32", image: "debian-12", location: "fsn1" };
    await call("PUT", "/stock", { cpx32: { fsn1: "sold-out" } });
    assert.deepEqual(await offer(), [false, undefined]);
    await client.refused("resource_unavailable", "POST", "/servers", wish);
    await call("PUT", "/stock", { cpx32: { fsn1: "retired" } });
    assert.equal((await offer())[0], false);
    await client.refused("invalid_input", "POST", "/servers", wish);
    await call("PUT", "/stock", { cpx32: { fsn1: "announced" } });
    assert.deepEqual(await offer(), [true, "2099-12-31T23:59:59+00:00"]);
    const made = await client.expect(201, "POST", "/servers", wish);
    await client.wait(made.action);

    const bill = (await call("GET", "/bill")).body as { total: number };
    assert.equal(bill.total, 0.0577);
    const { spans } = (await call("GET", "/timeline")).body as { spans: { stage: string }[] };
    assert.equal(spans[0]?.stage, "create_server");
    const { requests } = (await call("GET", "/requests")).body as { requests: unknown[] };
    assert.equal(requests.length, client.hetzner.project.requests().length);
  });

  test("refuses mistakes with 400 and what is wrong", async () => {
    for (const [method, path, body, message] of [
      ["POST", "/faults", { rules: [{ at: "moon" }] }, /rules\.0\.at/],
      ["POST", "/faults", "{", /JSON/],
      ["POST", "/clock/advance", { ms: -1 }, /ms: /],
      ["PUT", "/stock", { cpx32: { fsn1: "gone" } }, /cpx32\.fsn1/],
      [
        "PUT",
        "/stock",
        { cpx99: { fsn1: "retired" }, cax11: { ash: "retired" } },
        /cpx99.*cax11 is not offered/,
      ],
    ] as const) {
      const answer = await call(method, path, body);
      assert.equal(answer.status, 400, path);
      assert.match(String(answer.body["mistake"]), message);
    }
  });
});
