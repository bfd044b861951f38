/** Removes resources by their ids, in an order that the API takes. What is gone already is fine, so it can be run again. */
import type { HetznerClient } from "../hetzner/client.ts";
import { describeResource, kinds, type LabelledResource } from "./labelled.ts";

/** Some resources could not be removed; all are named. */
export class RemovalError extends Error {
  override readonly name = "RemovalError";
}

/** Role of the server on which the archiver and every other service run. */
const controlPlaneRole = "k3s-control";

/** Whether it is the server on which a cluster's services run, or with the profile `single-node` everything. */
export function isControlPlane({ kind, labels }: LabelledResource): boolean {
  return kind === "servers" && labels["role"] === controlPlaneRole;
}

/**
 * Removes them all, the control plane first and alone: while it stands, the cluster can still be asked for a seal; once it
 * is gone nothing writes to the cluster any more, so a removal that is interrupted then may be gone on with. Where a server
 * stays, so does what it stands on: the API refuses to remove a firewall or placement group in use, and a network that goes
 * would be taken from the server.
 * @param report told of each that is gone.
 * @throws RemovalError after all servers were tried; the signal's reason of the client
 */
export async function removeResources(
  client: HetznerClient,
  resources: readonly LabelledResource[],
  report: (line: string) => void,
): Promise<void> {
  const problems: string[] = [];
  const remove = async (resource: LabelledResource): Promise<void> => {
    try {
      const wasThere = await client.remove(resource.kind, resource.id);
      report(`${describeResource(resource)} ${wasThere ? "removed" : "was gone"}`);
    } catch (error) {
      problems.push(`${describeResource(resource)}: ${(error as Error).message}`);
    }
  };
  const controlPlanes = resources.filter(isControlPlane);
  await Promise.all(controlPlanes.map(remove));
  if (problems.length === 0) {
    for (const kind of kinds) {
      if (kind !== "servers" && problems.length > 0) break;
      const rest = resources.filter((other) => other.kind === kind && !controlPlanes.includes(other));
      await Promise.all(rest.map(remove));
    }
  }
  if (problems.length > 0) {
    throw new RemovalError(
      `Not everything could be removed; run it again to go on:\n${problems.map((line) => `  - ${line}`).join("\n")}`,
    );
  }
}
