/** What goes wrong while the whole program goes up: the cluster comes up all the same, or says why, and nothing stays. */
import { after, before, test } from "node:test";
import type { LabObjectStore } from "../../lab/objectstore/index.ts";
import { InfrastructureWorld, startBucket } from "./world.ts";

let store: LabObjectStore;
before(async () => {
  store = await startBucket();
});
after(() => store.stop());

test("without a fault: up, opened, sealed, destroyed, nothing left", async () => {
  const world = await InfrastructureWorld.start({ store });
  try {
    await world.up();
    const clusterId = await world.opened();
    await world.destroy();
    await world.demandEmpty();
    const [cluster] = await world.archived();
    if (cluster?.clusterId !== clusterId || !cluster.sealed)
      throw new Error(`${clusterId} is not sealed: ${JSON.stringify(cluster)}`);
  } finally {
    await world.stop();
  }
});
