/**
 * Brings a cluster that was never opened to a standstill before it is removed. What a killed `up` left running in it may
 * write the `opened` marker after the bucket was asked: so its servers are cut off, and then the bucket is asked again.
 * Nothing that runs on no server can open a cluster, and no service starts before the marker is written, so whatever that
 * second answer says is final. Plain `pulumi destroy` cannot do this: its gate knows the bucket only.
 */
import { clusterOf, type StackCluster, type StackResource } from "../engine/stack-engine.ts";
import { HetznerApiError } from "../hetzner/errors.ts";
import { RefusedError } from "../run.ts";
import { archiveOf, whatItHeld } from "./held.ts";
import { describeResource, findLabelled, type LabelledResource, stateTypes } from "./labelled.ts";
import { clusterName } from "./leftovers.ts";
import type { ClusterParts } from "./parts.ts";

type StandstillParts = Pick<ClusterParts, "client" | "stack" | "archiveStore" | "reporter">;

/**
 * Powers off a cluster's servers and looks whether it was opened until then; if so, they are powered on again.
 * @param cluster one that the bucket called never opened
 * @param resources all of it that is to be removed; what is no server stays as it is
 * @throws RefusedError when it was opened meanwhile; HetznerApiError, HetznerActionError; ArchiveStoreError
 */
export async function bringToStandstill(
  parts: StandstillParts,
  cluster: StackCluster,
  resources: readonly LabelledResource[],
): Promise<void> {
  const { stack, archiveStore, reporter } = parts;
  const servers = resources.filter(({ kind }) => kind === "servers");
  if (servers.length === 0) return;
  await Promise.all(servers.map((server) => switchPower(parts, server, "poweroff")));
  if ((await whatItHeld(archiveOf(archiveStore, stack, cluster))) === "never") return;
  const name = clusterName(stack, { cluster });
  reporter.note(`${name} was opened while it was about to be removed: its servers are powered on again`);
  await Promise.all(servers.map((server) => switchPower(parts, server, "poweron")));
  throw new RefusedError(
    `The cluster ${name} was opened at the last moment, by what a killed run had left in it, so it may hold data. It stays; ` +
      `its servers were off for a moment. \`npm run --silent trading -- open --stack ${stack}\` goes on with it, ` +
      `\`npm run --silent trading -- close --stack ${stack}\` seals and removes it.`,
  );
}

/** {@link bringToStandstill} for all that carries the labels of the state's cluster. */
export async function bringStateToStandstill(parts: StandstillParts, cluster: StackCluster): Promise<void> {
  const there = await findLabelled(parts.client, parts.stack);
  await bringToStandstill(parts, cluster, there.filter(isOf(cluster)));
}

/**
 * Powers on what a run left off that was killed between the two, of clusters that were opened: an archiver that is off
 * seals nothing, and an `up` would wait for nodes that do not come.
 * @returns whether a server that the state knows is off in a cluster that was never opened: its removal was begun
 * @throws HetznerApiError, HetznerActionError; ArchiveStoreError
 */
export async function wakeOpened(parts: StandstillParts & Pick<ClusterParts, "engine">): Promise<boolean> {
  const { client, stack, archiveStore, reporter, engine } = parts;
  const off = (await findLabelled(client, stack)).filter(({ isOff }) => isOff);
  const clusters = new Map<string, StackCluster>();
  for (const { labels } of off) {
    const cluster = clusterOf([{ labels }]);
    if (cluster !== undefined) clusters.set(cluster.clusterId, cluster);
  }
  const { resources = [] } = (off.length > 0 ? await engine.state() : undefined) ?? {};
  let wasBegun = false;
  for (const cluster of clusters.values()) {
    const sleeping = off.filter(isOf(cluster));
    if ((await whatItHeld(archiveOf(archiveStore, stack, cluster))) === "never") {
      // One whose creation is not in the state as ended is off because it was not yet powered on.
      wasBegun ||= sleeping.some((server) => resources.some((known) => isSame(known, server)));
      continue;
    }
    reporter.note(
      `off, though its cluster was opened, so powered on: ${sleeping.map(describeResource).join(", ")}`,
    );
    await Promise.all(sleeping.map((server) => switchPower(parts, server, "poweron")));
  }
  return wasBegun;
}

const isSame = ({ type, id }: StackResource, server: LabelledResource): boolean =>
  type === stateTypes.servers && id === String(server.id);

const isOf =
  ({ clusterId }: StackCluster) =>
  ({ labels }: LabelledResource): boolean =>
    labels["cluster-id"] === clusterId;

/** A server that is gone stands still. */
async function switchPower(
  { client, reporter }: StandstillParts,
  server: LabelledResource,
  command: "poweroff" | "poweron",
): Promise<void> {
  try {
    await client.act("servers", server.id, command);
    reporter.progress(`${describeResource(server)}: ${command}`);
  } catch (error) {
    if (!(error instanceof HetznerApiError && error.code === "not_found")) throw error;
  }
}
