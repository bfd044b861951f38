import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { exampleEntries } from "../../components/testing/example-config.ts";
import { startTestClient, type TestClient } from "../../lab/hetzner/testing/client.ts";
import { openHetzner, readStack } from "../../ops/hetzner/settings.ts";
import { planCapacity } from "../../ops/plan/plan.ts";
import { UsageError } from "../../ops/run.ts";
import { parseStackValues } from "../../stacks/config.ts";

let lab: TestClient;
before(async () => {
  lab = await startTestClient();
});
after(async () => {
  await lab.hetzner.close();
});

const plan = (entries: Record<string, string> = {}) => {
  const environment = { HCLOUD_TOKEN: lab.hetzner.token, HCLOUD_ENDPOINT: lab.hetzner.endpoint };
  const values = parseStackValues(exampleEntries(entries));
  return planCapacity(openHetzner(values, {}, environment), "dev", values);
};

test("the live API's offers, ranked, with exact prices for an hour and for the day", async () => {
  const { choices, obstacles, currency } = await plan({ "trading:openHours": "7" });
  assert.equal(currency, "EUR");
  // 3 × 0.0569 + 0.0312 + 4 × 0.0008 for the addresses; seven started hours.
  const [first] = choices;
  assert.deepEqual(
    [first?.rank, first?.name, first?.networkZone, first?.pricePerHour, first?.priceOpenHours],
    [1, "fsn1/cpx32/cpx22", "eu-central", "0.2051", "1.4357"],
  );
  assert.ok(
    obstacles.some(
      ({ location, subject, reason }) => `${location} ${subject} ${reason}` === "fsn1 cpx31 deprecated",
    ),
  );
  assert.ok(
    obstacles.some(
      ({ location, subject, reason }) => `${location} ${subject} ${reason}` === "fsn1 cx33 out of stock",
    ),
  );
});

test("what is sold out or excluded is passed over; on one server one price counts", async () => {
  lab.hetzner.changeStock({ cpx32: { fsn1: "sold-out" } });
  assert.equal((await plan()).choices[0]?.name, "nbg1/cpx32/cpx22");
  const excluded = await plan({ "trading:excludedCapacity": '["nbg1/*/*"]' });
  assert.equal(excluded.choices[0]?.name, "hel1/cpx32/cpx22");
  const single = await plan({ "trading:profile": "single-node" });
  assert.deepEqual([single.choices[0]?.name, single.choices[0]?.pricePerHour], ["nbg1/cpx32", "0.0577"]);
  lab.hetzner.changeStock({ cpx32: { fsn1: "available" } });
});

test("servers that are there settle where the others can be", async () => {
  const labels = { project: "trading", stack: "dev", role: "kafka" };
  const wish = { name: "dev-kafka-0", server_type: "cx33", image: "ubuntu-24.04", location: "hel1", labels };
  const { server, action, next_actions } = await lab.expect(201, "POST", "/servers", wish);
  await lab.wait(action, ...next_actions);
  const { settled, choices } = await plan();
  assert.equal(settled, "hel1");
  assert.deepEqual(
    choices.map(({ name }) => name),
    ["hel1/cx33/cpx22", "hel1/cx33/cx23"],
  );
  await lab.wait((await lab.expect(200, "DELETE", `/servers/${server.id}`)).action);
});

test("which project: everything that is wrong is said at once, and no token goes over plain HTTP", () => {
  assert.throws(
    () => openHetzner({}, {}, { HCLOUD_TOKEN: "short", HCLOUD_ENDPOINT: "http://api.example.com/v1" }),
    (error: unknown) =>
      error instanceof UsageError && /HCLOUD_TOKEN: is not[^]*HCLOUD_ENDPOINT: found/.test(error.message),
  );
  assert.throws(() => openHetzner({}, {}, {}), /HCLOUD_TOKEN: is missing/);
  assert.ok(openHetzner({}, {}, { HCLOUD_TOKEN: "x".repeat(64) }));
});

test("the stacks' own configurations are read without their secrets", () => {
  assert.equal(readStack("dev").openHours, 2);
  assert.equal(readStack("prod").openHours, 10);
  assert.throws(() => readStack("none"), /There is no Pulumi\.none\.yaml/);
  const folder = process.cwd();
  process.chdir(mkdtempSync(path.join(tmpdir(), "stack-file-")));
  try {
    mkdirSync("Pulumi.dev.yaml");
    assert.throws(
      () => readStack("dev"),
      (error: unknown) =>
        error instanceof UsageError && /Pulumi\.dev\.yaml cannot be read/.test(error.message),
    );
  } finally {
    rmSync(process.cwd(), { recursive: true });
    process.chdir(folder);
  }
});
