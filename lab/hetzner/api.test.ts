import assert from "node:assert/strict";
import { createServer } from "node:http";
import { connect } from "node:net";
import { after, before, describe, test } from "node:test";
import { HetznerStartError, startHetzner } from "./index.ts";
import { RateLimit } from "./rate-limit.ts";
import { quickLatency, startTestClient, type TestClient } from "./testing/client.ts";

describe("every request", () => {
  let client: TestClient;
  before(async () => (client = await startTestClient()));
  after(() => client.hetzner.close());

  test("without the right token: 401, whatever the path", async () => {
    for (const authorization of ["", "Bearer wrong", client.hetzner.token]) {
      for (const path of ["/servers", "/no-such-thing"]) {
        const answer = await client.request("GET", path, undefined, { authorization });
        assert.equal(answer.status, 401);
        assert.equal(answer.body.error.code, "unauthorized");
      }
    }
  });

  test("tells what is left of the rate limit", async () => {
    const first = await client.request("GET", "/servers");
    const second = await client.request("GET", "/servers");
    const left = (answer: typeof first) => Number(answer.headers.get("RateLimit-Remaining"));
    assert.equal(first.headers.get("RateLimit-Limit"), "3600");
    assert.equal(left(second), left(first) - 1);
    assert.ok(Number(second.headers.get("RateLimit-Reset")) > Date.now() / 1_000);
  });

  test("of a body that is no JSON object: json_error", async () => {
    for (const body of ["{", "[]", '"text"']) await client.refused("json_error", "POST", "/networks", body);
  });

  test("with wrong fields: every one of them is named", async () => {
    const error = await client.refused("invalid_input", "POST", "/servers", {
      name: "a b",
      user_data: 3,
      labels: { "-": "" },
    });
    const names = error.details?.fields?.map(({ name }) => name).sort();
    assert.deepEqual(names, ["image", "labels", "name", "server_type", "user_data"]);
  });

  test("for what is not there: 404 with the API's body", async () => {
    for (const path of [
      "servers",
      "networks",
      "firewalls",
      "ssh_keys",
      "placement_groups",
      "primary_ips",
      "actions",
    ]) {
      const answer = await client.request("GET", `/${path}/1`);
      assert.equal(answer.status, 404, path);
      assert.equal(answer.body.error.code, "not_found");
    }
    await client.refused("not_found", "GET", "/nonsense");
    await client.refused("not_found", "DELETE", "/servers/1");
  });

  test("for kinds that are not simulated: empty lists, and a clear refusal to create", async () => {
    for (const kind of ["volumes", "floating_ips", "load_balancers", "certificates"]) {
      const answer = await client.expect(200, "GET", `/${kind}`);
      assert.equal(answer.meta.pagination.total_entries, 0);
      await client.refused("unsupported_error", "POST", `/${kind}`, {});
    }
  });
});

test("beyond the rate limit: 429, until requests come back", async () => {
  const client = await startTestClient({ requestsPerHour: 3 });
  try {
    for (let count = 0; count < 3; count += 1) await client.expect(200, "GET", "/servers");
    const error = await client.refused("rate_limit_exceeded", "GET", "/servers");
    assert.match(error.message, /limit/);
  } finally {
    await client.hetzner.close();
  }
  let now = 0;
  const limit = new RateLimit(3_600, () => now);
  for (let count = 0; count < 3_600; count += 1) assert.ok(limit.take());
  assert.equal(limit.take(), false);
  assert.equal(limit.headers()["RateLimit-Reset"], "3600");
  now = 2_000;
  assert.deepEqual([limit.take(), limit.take(), limit.take()], [true, true, false]);
});

describe("lists", () => {
  let client: TestClient;
  before(async () => {
    client = await startTestClient();
    for (let number = 0; number < 30; number += 1) {
      const labels = { parity: number % 2 === 0 ? "even" : "odd", ...(number < 3 ? { small: "" } : {}) };
      await client.expect(201, "POST", "/placement_groups", { name: `g${number}`, type: "spread", labels });
    }
  });
  after(() => client.hetzner.close());

  test("have pages of 25 by default, and say where the next is", async () => {
    const first = await client.expect(200, "GET", "/placement_groups");
    assert.equal(first.placement_groups.length, 25);
    assert.deepEqual(first.meta.pagination, {
      page: 1,
      per_page: 25,
      previous_page: null,
      next_page: 2,
      last_page: 2,
      total_entries: 30,
    });
    const second = await client.expect(200, "GET", "/placement_groups?page=2");
    assert.equal(second.placement_groups.length, 5);
    assert.deepEqual([second.meta.pagination.previous_page, second.meta.pagination.next_page], [1, null]);
    const beyond = await client.expect(200, "GET", "/placement_groups?page=9&per_page=50");
    assert.deepEqual(beyond.placement_groups, []);
  });

  test("refuse wrong pages and orders by name of the parameter", async () => {
    for (const [query, field] of [
      ["page=0", "page"],
      ["per_page=51", "per_page"],
      ["per_page=x", "per_page"],
      ["sort=color", "sort"],
      ["sort=id:up", "sort"],
      ["label_selector=a=b=c", "label_selector"],
    ]) {
      const error = await client.refused("invalid_input", "GET", `/placement_groups?${query}`);
      assert.equal(error.details?.fields?.[0]?.name, field);
    }
  });

  test("are filtered by name and label selector, and sorted", async () => {
    const named = await client.expect(200, "GET", "/placement_groups?name=g7");
    assert.deepEqual(
      named.placement_groups.map(({ name }) => name),
      ["g7"],
    );
    const selector = encodeURIComponent("small,parity in (even)");
    const selected = await client.expect(
      200,
      "GET",
      `/placement_groups?label_selector=${selector}&sort=name:desc`,
    );
    assert.deepEqual(
      selected.placement_groups.map(({ name }) => name),
      ["g2", "g0"],
    );
    assert.equal(selected.meta.pagination.total_entries, 2);
  });
});

describe("starting and stopping", () => {
  test("a port in use, or a wrong token: a typed error that says what to do", async () => {
    const first = await startHetzner();
    try {
      const port = Number(new URL(first.endpoint).port);
      await assert.rejects(startHetzner({ port }), (error) => {
        assert.ok(error instanceof HetznerStartError);
        assert.match(error.message, new RegExp(`127.0.0.1:${port}.*in use.*Choose another port`));
        return true;
      });
      await assert.rejects(startHetzner({ sshPort: first.sshPort }), /SSH.*in use.*sshPort/);
      await assert.rejects(startHetzner({ token: "short" }), /exactly 64/);
    } finally {
      await first.close();
    }
    assert.match(first.token, /^[A-Za-z0-9]{64}$/);
  });

  test("a failed start leaves its SSH port free", async () => {
    const blocker = createServer();
    await new Promise<void>((resolve) => blocker.listen(0, "127.0.0.1", resolve));
    const address = blocker.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const first = await startHetzner();
    const { sshPort } = first;
    await first.close();
    await assert.rejects(startHetzner({ port, sshPort }), /in use/);
    await new Promise((resolve) => blocker.close(resolve));
    const second = await startHetzner({ port, sshPort });
    await second.close();
  });

  test("close ends connections and waiting actions at once", async () => {
    const client = await startTestClient({ latency: quickLatency({ create_server: 600_000 }) });
    await client.expect(201, "POST", "/servers", { name: "s", server_type: "cpx22", image: "debian-12" });
    const socket = connect(Number(new URL(client.hetzner.endpoint).port), "127.0.0.1");
    socket.on("error", () => undefined);
    await new Promise((resolve) => socket.once("connect", resolve));
    const closed = new Promise((resolve) => socket.once("close", resolve));
    await client.hetzner.close();
    await closed;
    await assert.rejects(fetch(client.hetzner.endpoint), /fetch failed/);
  });
});
