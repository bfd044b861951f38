/** Asks the Hetzner API what it offers and chooses, before the program's first server. */
import * as hcloud from "@pulumi/hcloud";
import * as pulumi from "@pulumi/pulumi";
import {
  type CapacityWishes,
  firstChoice,
  NoCapacityError,
  nextChoices,
  rankCapacity,
  type RankedChoice,
  type Ranking,
} from "./capacity.ts";

/**
 * Asks the Hetzner API and chooses. The choice is logged with what follows it: when a creation is answered with
 * `resource_unavailable`, the program has no say any more, but the choice to take next stands above the error.
 * A promise and not an output, so that the program ends here, with one message, when there is nothing to choose.
 * @throws RunError that names every location, type and reason when nothing can be had, or when the API does not answer
 */
export async function resolveCapacity(
  wishes: CapacityWishes,
  stack: string,
  provider: hcloud.Provider,
): Promise<RankedChoice> {
  const [types, locations, existing] = await Promise.all([
    hcloud.getServerTypes({ provider }),
    hcloud.getLocations({ provider }),
    hcloud.getServers({ withSelector: `project=trading,stack=${stack}` }, { provider }),
  ]).catch((error: unknown) => {
    const reason = error instanceof Error ? error.message : String(error);
    throw new pulumi.RunError(
      `Cannot ask the Hetzner Cloud API what it offers: ${reason}\n` +
        "Check trading:hcloudToken (a read and write token of this project) and trading:hcloudEndpoint.",
    );
  });
  const ranking = rankCapacity(
    wishes,
    types.serverTypes,
    locations.locations,
    existing.servers.map((server) => ({
      role: server.labels["role"] ?? "",
      serverType: server.serverType,
      location: server.location,
    })),
  );
  try {
    const choice = firstChoice(ranking);
    await pulumi.log.info(describeChoice(ranking, wishes.excludedCapacity ?? [], stack));
    return choice;
  } catch (error) {
    // Pulumi shows a RunError as it is, without a stack trace.
    throw error instanceof NoCapacityError ? new pulumi.RunError(error.message) : error;
  }
}

/** The choice, what to do when it cannot be had after all, and when a killed run's leftovers have the names. */
export function describeChoice(ranking: Ranking, excluded: readonly string[], stack: string): string {
  const choice = firstChoice(ranking);
  const usedNames =
    "Should it fail because a name is used already (uniqueness_error), a run that was killed left what has it: " +
    `\`npm run --silent trading -- open --stack ${stack}\` finds it by its labels, and goes on with it or removes it.`;
  if (ranking.settled !== undefined)
    return (
      `Servers: ${choice.name}, settled by those that are there already. Should one that is missing not be had, ` +
      `pulumi destroy removes the others, and pulumi up chooses anew (trading open does both by itself).\n${usedNames}`
    );
  const lines = nextChoices(ranking).map(({ role, exclusion, next }) => {
    const type = role === "kafka" ? choice.brokerServerType : choice.controlPlaneServerType;
    const which = `no ${type} for ${role}`;
    if (next === undefined) return `  ${which}: there is no other choice; add locations or server types`;
    const value = JSON.stringify([...excluded, exclusion]);
    return `  ${which}: next is ${next.name}: pulumi config set trading:excludedCapacity '${value}' -s ${stack}`;
  });
  return [
    `Servers: ${choice.name}. Stock is known for sure only when they are created. Should that fail with resource_unavailable,`,
    "run pulumi destroy, exclude what was refused, and run pulumi up again (trading open does all of this by itself):",
    ...lines,
    usedNames,
  ].join("\n");
}
