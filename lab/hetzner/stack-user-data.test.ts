/** The simulator boots the very user data that the stack makes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { nodeUserData, scriptDirectory } from "../../components/cloud-init/node-config.ts";
import { nodePlans } from "../../components/nodes.ts";
import { parseUserData } from "./boot/cloud-config.ts";
import { runWhenBooted, startTestClient } from "./testing/client.ts";
import { createCluster } from "./testing/cluster.ts";

test("a cluster made of the stack's own user data is ready and prints its kubeconfig", async () => {
  const client = await startTestClient();
  try {
    const cluster = await createCluster(client, {
      userData: (nodeName, hostKey) => {
        const plan = nodePlans.find((one) => one.nodeName === nodeName);
        assert.ok(plan !== undefined, nodeName);
        const userData = nodeUserData({
          plan,
          serverToken: "server-token",
          agentToken: "agent-token",
          hostPrivateKey: hostKey.private,
          hostPublicKey: hostKey.public,
        });
        assert.deepEqual(parseUserData(userData).warnings, []);
        return userData;
      },
    });
    const control = {
      host: cluster.addresses[0] ?? "",
      port: client.hetzner.sshPort,
      privateKey: cluster.adminKey,
    };
    const nodes = await runWhenBooted(control, `${scriptDirectory}/wait-for-nodes ${nodePlans.length}`);
    assert.deepEqual([nodes.code, nodes.stdout], [0, "4 nodes are Ready\n"]);
    assert.equal(nodes.hostKey, cluster.hostKeys[0]?.public);
    const kubeconfig = await runWhenBooted(control, `${scriptDirectory}/print-kubeconfig`);
    assert.match(kubeconfig.stdout, /^current-context: simulated$/m);
  } finally {
    await client.hetzner.close();
  }
});
