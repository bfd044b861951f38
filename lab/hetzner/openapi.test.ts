import assert from "node:assert/strict";
import { test } from "node:test";
import { type Answer, startTestClient } from "./testing/client.ts";
import { createCluster } from "./testing/cluster.ts";
import { openApiAvailable, OpenApiChecker } from "./testing/openapi.ts";

const skip = openApiAvailable ? false : "the OpenAPI document is not at hand (../shared/data)";

test("the answers of a whole cluster's life are as Hetzner's OpenAPI document says", { skip }, async () => {
  const checker = new OpenApiChecker();
  const client = await startTestClient();
  const mistakes: string[] = [];
  const { request } = client;
  const checked = async (method: string, path: string, body?: unknown): Promise<Answer> => {
    const answer = await request(method, path, body);
    mistakes.push(...checker.check(method, path, answer.status, answer.body));
    return answer;
  };
  client.request = checked;
  client.expect = async (status, method, path, body) => {
    const answer = await checked(method, path, body);
    assert.equal(answer.status, status, `${method} ${path}: ${JSON.stringify(answer.body)}`);
    return answer.body;
  };
  try {
    const { ids } = await createCluster(client);
    const [server = 0] = ids.servers;
    const lists = ["servers", "networks", "firewalls", "ssh_keys", "placement_groups", "primary_ips"];
    for (const list of [
      ...lists,
      "server_types",
      "images",
      "locations",
      "volumes",
      "floating_ips",
      "load_balancers",
    ]) {
      await client.expect(200, "GET", `/${list}`);
    }
    await client.expect(200, "GET", "/pricing");
    await client.expect(200, "GET", "/server_types/110");
    await client.expect(200, "GET", "/images/161547269");
    await client.expect(200, "GET", "/locations/1");
    for (const [kind, id] of Object.entries({
      networks: ids.network,
      firewalls: ids.firewall,
      ssh_keys: ids.sshKey,
      placement_groups: ids.placementGroup,
      servers: server,
    })) {
      await client.expect(200, "GET", `/${kind}/${id}`);
      await client.expect(200, "PUT", `/${kind}/${id}`, { labels: { changed: "yes" } });
    }
    const { primary_ips: addresses } = await client.expect(200, "GET", "/primary_ips");
    await client.expect(200, "GET", `/primary_ips/${addresses[0]?.id}`);
    const { actions } = await client.expect(200, "GET", `/servers/${server}/actions`);
    await client.expect(200, "GET", `/servers/${server}/actions/${actions[0]?.id}`);
    await client.expect(200, "GET", `/actions/${actions[0]?.id}`);
    for (const [name, body] of [
      ["poweroff", undefined],
      ["poweron", undefined],
      ["reboot", undefined],
      ["change_protection", { delete: false, rebuild: false }],
      ["detach_from_network", { network: ids.network }],
    ] as const) {
      const { action } = await client.expect(201, "POST", `/servers/${server}/actions/${name}`, body);
      await client.wait(action);
    }
    const rules = [{ direction: "in", protocol: "icmp", source_ips: ["0.0.0.0/0"] }];
    const set = await client.expect(201, "POST", `/firewalls/${ids.firewall}/actions/set_rules`, { rules });
    await client.wait(...set.actions);
    // Refusals have the error's shape.
    await checked("POST", "/servers", { name: "a b" });
    await checked("POST", "/networks", "{");
    await checked("GET", "/servers/1");
    await checked("DELETE", `/firewalls/${ids.firewall}`);
    for (const id of ids.servers)
      await client.wait((await client.expect(200, "DELETE", `/servers/${id}`)).action);
    await client.expect(204, "DELETE", `/firewalls/${ids.firewall}`);
    await client.expect(204, "DELETE", `/networks/${ids.network}`);
    await client.expect(204, "DELETE", `/placement_groups/${ids.placementGroup}`);
    await client.expect(204, "DELETE", `/ssh_keys/${ids.sshKey}`);
  } finally {
    await client.hetzner.close();
  }
  assert.deepEqual([...new Set(mistakes)], []);
  assert.ok(checker.checked.size >= 45, `only ${checker.checked.size} kinds of answers were checked`);
});

test("the check finds an answer that is wrong", { skip }, () => {
  const checker = new OpenApiChecker();
  const location = {
    id: "1",
    name: "fsn1",
    description: "",
    country: "DE",
    city: "",
    latitude: 1,
    longitude: 1,
  };
  const found = checker.check("GET", "/locations/1", 200, { location });
  assert.equal(found.length, 2);
  assert.match(found.join(), /network_zone[\s\S]*integer|integer[\s\S]*network_zone/);
});
