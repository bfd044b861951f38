/** What the Hetzner API says about the servers, asked from outside as anybody with the token could. */
import type { InboundRule, ServerExposure } from "./judge.ts";
export type { ServerExposure } from "./judge.ts";

interface Account {
  endpoint: string;
  token: string;
}

/** One page is enough: the lab's project holds a handful of resources. */
async function list<T>(account: Account, collection: string): Promise<T[]> {
  const response = await fetch(`${account.endpoint}/${collection}?per_page=50`, {
    headers: { Authorization: `Bearer ${account.token}` },
    signal: AbortSignal.timeout(10_000),
  });
  if (!response.ok) throw new Error(`GET /${collection}: ${response.status} ${await response.text()}`);
  const body = (await response.json()) as Record<string, T[]>;
  return body[collection] ?? [];
}

/** Every server of the project with the rules of the firewalls that apply to it. */
export async function readExposure(account: Account): Promise<ServerExposure[]> {
  const [servers, firewalls] = await Promise.all([
    list<{ name: string; public_net: { firewalls: { id: number }[] } }>(account, "servers"),
    list<{ id: number; rules: InboundRule[] }>(account, "firewalls"),
  ]);
  return servers.map((server) => {
    const applied = firewalls.filter(({ id }) => server.public_net.firewalls.some((one) => one.id === id));
    return {
      server: server.name,
      firewalls: applied.length,
      rules: applied.flatMap(({ rules }) => rules),
    };
  });
}

/** Names of everything that the project still holds, billable or not: names are what the next `up` would meet. */
export async function readLeftNames(account: Account): Promise<string[]> {
  const collections = ["servers", "networks", "firewalls", "ssh_keys", "placement_groups", "primary_ips"];
  const lists = await Promise.all(
    collections.map((collection) => list<{ name: string }>(account, collection)),
  );
  return collections.flatMap((collection, index) =>
    (lists[index] ?? []).map(({ name }) => `${collection}/${name}`),
  );
}
