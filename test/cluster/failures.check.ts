/** A manifest that is wrong makes a failure that says what is wrong, on the same control plane that takes the right ones. */
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { allocatable } from "../../components/fit.ts";
import { nodePlansOf } from "../../components/node-plans.ts";
import { labDirectories } from "../../lab/directories.ts";
import {
  type ControlPlane,
  fieldManagers,
  installDefinitions,
  type KubernetesObject,
  LabCluster,
  startControlPlane,
} from "../../lab/kubernetes/index.ts";
import { whySkipped } from "./world.ts";

const skip = await whySkipped();
const options = { skip, timeout: 120_000 };
/** How long something that cannot run is waited for: the scheduler says so at once. */
const soonMs = 5_000;

let directory = "";
let controlPlane: ControlPlane;
let cluster: LabCluster;
before(async () => {
  if (skip !== false) return;
  directory = mkdtempSync(path.join(tmpdir(), "cluster-failures-"));
  controlPlane = await startControlPlane({ directory });
  const cpx21 = { serverType: "cpx21", cores: 3, memory: 4, disk: 80 };
  const definitions = await installDefinitions({ cacheDirectory: labDirectories.cache });
  cluster = new LabCluster({ controlPlane, profile: "cluster", definitions, machineOf: () => cpx21 });
  await cluster.apply(namespace("loose"));
  await cluster.apply(namespace("strict", { "pod-security.kubernetes.io/enforce": "restricted" }));
});
after(async () => {
  if (skip !== false) return;
  await cluster.stop();
  await controlPlane.stop();
  rmSync(directory, { recursive: true, force: true });
});

const namespace = (name: string, labels: Record<string, string> = {}): KubernetesObject => ({
  apiVersion: "v1",
  kind: "Namespace",
  metadata: { name, labels },
});

/** A Deployment of one pod, which need not be valid. */
function deployment(
  name: string,
  place: string,
  { memory = "16Mi", spec = {}, container = {} }: { memory?: string; spec?: object; container?: object } = {},
): KubernetesObject {
  const labels = { app: name };
  const resources = { requests: { cpu: "10m", memory }, limits: { memory } };
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name, namespace: place, annotations: { "pulumi.com/skipAwait": "true" } },
    spec: {
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: {
          nodeSelector: { "kubernetes.io/hostname": "k3s-control" },
          containers: [{ name: "main", image: "none", resources, ...container }],
        },
      },
      ...spec,
    },
  };
}

/** Applies it, waits in vain, and takes it away again. @returns why it does not run */
async function doesNotRun(object: KubernetesObject): Promise<string> {
  await cluster.apply(object);
  try {
    await cluster.settled(soonMs);
  } catch (error) {
    return (error as Error).message;
  } finally {
    await controlPlane.api.delete(object);
    const { name } = object.metadata;
    for (const pod of await controlPlane.api.list("v1", "Pod", object.metadata.namespace))
      if (pod.metadata.name.startsWith(`${name}-`)) await controlPlane.api.delete(pod);
  }
  return assert.fail(`${object.metadata.name} runs`);
}

test("an unknown field is refused, by its path", options, async () => {
  await assert.rejects(cluster.apply(deployment("typo", "loose", { spec: { replcas: 2 } })), {
    name: "KubernetesApiError",
    message: /Deployment loose\/typo: .*\.spec\.replcas/s,
  });
});

test("a value of the wrong type is refused, by its path", options, async () => {
  await assert.rejects(cluster.apply(deployment("type", "loose", { spec: { replicas: "two" } })), {
    name: "KubernetesApiError",
    message: /Deployment loose\/type: .*\.spec\.replicas/s,
  });
});

test("a kind whose definition is missing is refused, and which one", options, async () => {
  const monitor: KubernetesObject = {
    apiVersion: "monitoring.coreos.com/v1",
    kind: "PodMonitor",
    metadata: { name: "services", namespace: "loose" },
    spec: { selector: {}, podMetricsEndpoints: [] },
  };
  await assert.rejects(cluster.apply(monitor), {
    name: "KubernetesApiError",
    message: /PodMonitor loose\/services: .*no kind PodMonitor in monitoring\.coreos\.com\/v1.*definition/s,
  });
});

test("an unknown field of a custom resource is refused, by its path", options, async () => {
  const chart: KubernetesObject = {
    apiVersion: "helm.cattle.io/v1",
    kind: "HelmChart",
    metadata: { name: "typo", namespace: "kube-system" },
    spec: { chart: "argo-cd", targetNamespce: "loose" },
  };
  await assert.rejects(cluster.apply(chart), {
    name: "KubernetesApiError",
    message: /HelmChart kube-system\/typo: .*spec\.targetNamespce/s,
  });
});

test("a field that another manager owns is a conflict that names both", options, async () => {
  const map = (value: string): KubernetesObject => ({
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: "shared", namespace: "loose" },
    data: { key: value },
  });
  await cluster.apply(map("one"));
  await assert.rejects(cluster.apply(map("two"), { manager: fieldManagers.argoCd }), {
    name: "KubernetesApiError",
    status: 409,
    message: /ConfigMap loose\/shared: Conflict.*"pulumi".*\.data\.key/s,
  });
});

test("a namespace that does not exist is named", options, async () => {
  await assert.rejects(cluster.apply(deployment("lost", "nowhere")), {
    name: "KubernetesApiError",
    message: /Deployment nowhere\/lost: .*namespaces "nowhere" not found/s,
  });
});

test("every node has exactly what components/fit.ts leaves of its server", options, async () => {
  const nodes = (await controlPlane.api.list("v1", "Node")) as unknown as {
    metadata: { name: string };
    status: { allocatable: Record<string, string> };
  }[];
  const found = nodes.map(({ metadata, status }) => [
    metadata.name,
    status.allocatable["cpu"],
    status.allocatable["memory"],
  ]);
  const expected = nodePlansOf("cluster").map(({ nodeName, role }) => {
    const { cpu, memory } = allocatable({ cores: 3, memory: 4 }, role);
    return [nodeName, `${cpu}m`, `${memory}Mi`];
  });
  assert.deepEqual(found.sort(), expected.sort());
});

test("a request that fits on no node stays pending, and the scheduler says why", options, async () => {
  // k3s-control is a server of 4 GB, of which its system keeps half.
  const why = await doesNotRun(deployment("huge", "loose", { memory: "3Gi" }));
  assert.match(why, /Pod loose\/huge-\S+ is Pending, on no node: .*Insufficient memory/s);
});

test("a pod that Pod Security forbids is not made, and what it lacks is said", options, async () => {
  const why = await doesNotRun(
    deployment("rootly", "strict", { container: { securityContext: { privileged: true } } }),
  );
  assert.match(why, /Deployment strict\/rootly: .*violates PodSecurity "restricted:latest".*privileged/s);
});

test("a pod beyond the quota is not made, and by how much is said", options, async () => {
  await cluster.apply(namespace("small"));
  await cluster.apply({
    apiVersion: "v1",
    kind: "ResourceQuota",
    metadata: { name: "pods", namespace: "small" },
    spec: { hard: { "requests.memory": "64Mi" } },
  });
  const why = await doesNotRun(deployment("greedy", "small", { memory: "100Mi" }));
  assert.match(why, /Deployment small\/greedy: .*exceeded quota: pods, requested: requests\.memory=100Mi/s);
});

test(
  "nothing of a control plane is readable for others, and nothing is left when it has stopped",
  options,
  async () => {
    const home = path.join(mkdtempSync(path.join(tmpdir(), "cluster-stop-")), "control-plane");
    const own = await startControlPlane({ directory: home });
    const port = Number(new URL(own.api.server).port);
    try {
      const closed = [
        home,
        ...["etcd", "certificates", "logs"].map((name) => path.join(home, name)),
        own.kubeconfig,
      ];
      const open = closed.filter((file) => (statSync(file).mode & 0o077) !== 0);
      assert.deepEqual(open, [], "for their owner only");
      assert.equal(await isListening(port), true);
    } finally {
      await own.stop();
    }
    await own.stop();
    assert.deepEqual(readdirSync(home).sort(), ["logs", "processes"], "data and credentials are gone");
    assert.equal(await isListening(port), false, "nobody listens any more");
    rmSync(path.dirname(home), { recursive: true, force: true });
  },
);

function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port });
    socket.once("connect", () => socket.end(() => resolve(true)));
    socket.once("error", () => resolve(false));
  });
}
