/**
 * Servers of another cluster of this stack. Their names are taken, so an `up` would fail in the middle, after it has begun
 * to cost; this says so before the first server, with the command that clears the way.
 */
import * as hcloud from "@pulumi/hcloud";
import * as pulumi from "@pulumi/pulumi";

/** A server with the labels of a stack. */
export interface LabelledServer {
  id: number;
  name: string;
  labels: Readonly<Record<string, string>>;
}

/**
 * Names what is in the way.
 * @param clusterId of the cluster that is being brought up.
 * @returns undefined when nothing is. Servers of this very cluster are never in the way here: whether the state knows them
 *   the program cannot see.
 */
export function describeStrangers(
  stack: string,
  clusterId: string,
  servers: readonly LabelledServer[],
): string | undefined {
  const strangers = servers.filter(({ labels }) => labels["cluster-id"] !== clusterId);
  if (strangers.length === 0) return undefined;
  const lines = strangers.map(({ id, name, labels }) => {
    const { "cluster-id": cluster = "without a cluster-id", "business-date": date = "no date" } = labels;
    return `  ${name} (id ${id}, cluster ${cluster} of ${date})`;
  });
  return (
    `Servers of another cluster of stack ${stack} are in the way: this stack's state does not know them (a run was killed, ` +
    `or a state was lost), they have the names that are wanted, and they bill.\n${lines.join("\n")}\n` +
    `Run \`npm run --silent trading -- open --stack ${stack}\`: it removes what never held data, and then brings the stack up. ` +
    `A cluster that may hold data stays; \`npm run --silent trading -- close --stack ${stack}\` seals and removes it.`
  );
}

/**
 * Ends an `up` before its first server when another cluster's servers are there. A preview goes on with a warning, where
 * it knows this cluster's id (not yet for a new cluster).
 * @throws RunError as {@link describeStrangers} says it, or when the API does not answer.
 */
export async function demandFreeWay(
  stack: string,
  clusterId: pulumi.Output<string>,
  provider: hcloud.Provider,
): Promise<void> {
  const { servers } = await hcloud
    .getServers({ withSelector: `project=trading,stack=${stack}` }, { provider })
    .catch((error: unknown) => {
      const reason = error instanceof Error ? error.message : String(error);
      throw new pulumi.RunError(
        `Cannot ask the Hetzner Cloud API for the servers of stack ${stack}: ${reason}\n` +
          "Check trading:hcloudToken (a read and write token of this project) and trading:hcloudEndpoint.",
      );
    });
  if (servers.length === 0) return;
  if (pulumi.runtime.isDryRun()) {
    clusterId.apply((id) => {
      const found = describeStrangers(stack, id, servers);
      if (found !== undefined) void pulumi.log.warn(found);
    });
    return;
  }
  const id = await new Promise<string>((resolve) => void clusterId.apply(resolve));
  const found = describeStrangers(stack, id, servers);
  if (found !== undefined) throw new pulumi.RunError(found);
}
