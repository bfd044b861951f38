/** Which choices of capacity there are now, ranked by the program's own rule. */
import { type CapacityWishes, type Ranking, rankCapacity } from "../../components/capacity.ts";
import type { HetznerClient } from "../hetzner/client.ts";

/**
 * Asks the API and ranks.
 * @param wishes of the stack's configuration, with what is excluded.
 * @throws HetznerApiError
 */
export async function rankNow(
  client: HetznerClient,
  stack: string,
  wishes: CapacityWishes,
): Promise<Ranking> {
  const [types, locations, servers] = await Promise.all([
    client.serverTypes(),
    client.locations(),
    client.list("servers", { labelSelector: `project=trading,stack=${stack}` }),
  ]);
  return rankCapacity(
    wishes,
    types.map(({ locations: offers, ...type }) => ({
      ...type,
      locations: offers.map(({ name, available, deprecation }) => ({
        name,
        available,
        isDeprecated: deprecation != null,
      })),
    })),
    locations.map(({ name, network_zone }) => ({ name, networkZone: network_zone })),
    servers.map(({ labels, server_type, location }) => ({
      role: labels["role"] ?? "",
      serverType: server_type.name,
      location: location.name,
    })),
  );
}
