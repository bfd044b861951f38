import assert from "node:assert/strict";
import test from "node:test";
import { parse } from "yaml";
import { add, amount } from "./fit.ts";
import { argoCdFacts } from "./argocd-facts.ts";
import { managedKinds } from "./argocd-kinds.ts";
import { type argoCdValues, Gitops, type GitopsArgs } from "./gitops.ts";
import { argoCdParts } from "./platform-pods.ts";
import { exampleCluster } from "./testing/example-cluster.ts";
import { record } from "./testing/recording.ts";

const source = {
  repository: "https://git.example.com/a.git",
  path: "k8s/overlays/dev",
  revision: "master",
};

function recordGitops(args: Partial<GitopsArgs> = {}) {
  return record(() => {
    const { k3s, namespaces, identity } = exampleCluster();
    new Gitops("gitops", {
      k3s,
      namespaces,
      node: "k3s-control",
      expiresAt: identity.expiresAt,
      ...args,
    });
  });
}

test("Argo CD is its core only, on k3s-control", async () => {
  const recording = await recordGitops();
  const chart = recording.one("kubernetes:helm.cattle.io/v1:HelmChart");
  const spec = chart.inputs["spec"] as Record<string, string>;
  assert.equal(spec["chart"], "argo-cd");
  assert.equal(spec["targetNamespace"], "argocd");
  const values = parse(spec["valuesContent"] ?? "") as ReturnType<typeof argoCdValues>;
  assert.deepEqual(values.global.nodeSelector, { "kubernetes.io/hostname": "k3s-control" });
  assert.equal(values.server.replicas, 0);
  assert.equal(values.applicationSet.replicas, 0);
  assert.equal(values.dex.enabled, false);
  assert.equal(values.notifications.enabled, false);
  const definitions = recording.one("command:remote:Command", "gitops-definitions");
  assert.match(String(definitions.inputs["create"]), /wait-for-crds applications\.argoproj\.io/);
  assert.ok(definitions.dependencies.includes(chart.urn));
});

test("its requests are the 200 MB of seed 000", () => {
  const requested = add(Object.values(argoCdParts).map((part) => amount(part.requests)));
  assert.ok(requested.memory <= 200, String(requested.memory));
});

test("it has no right outside its own namespace and those of the services, and reads no Secret there", async () => {
  const recording = await recordGitops();
  const spec = recording.one("kubernetes:helm.cattle.io/v1:HelmChart").inputs["spec"] as Record<
    string,
    string
  >;
  const values = parse(spec["valuesContent"] ?? "") as ReturnType<typeof argoCdValues>;
  assert.equal(values.createClusterRoles, false);
  assert.equal(values.configs.clusterCredentials["in-cluster"].namespaces, "ingestion,kafka,strategies");

  const ofGitops = (type: string) =>
    recording.all(type).filter(({ name }) => name.startsWith("gitops-")) as unknown as {
      inputs: {
        metadata: { namespace: string };
        rules: { apiGroups: string[]; resources: string[]; verbs: string[] }[];
        subjects: unknown[];
      };
    }[];
  const roles = ofGitops("kubernetes:rbac.authorization.k8s.io/v1:Role");
  assert.deepEqual(roles.map(({ inputs }) => inputs.metadata.namespace).sort(), [
    "ingestion",
    "kafka",
    "strategies",
  ]);
  for (const { inputs } of roles) {
    const changed = inputs.rules
      .filter(({ verbs }) => verbs.includes("create"))
      .flatMap(({ resources }) => resources);
    assert.deepEqual(
      changed.sort(),
      managedKinds()
        .map(({ resource }) => resource)
        .sort(),
    );
    const all = inputs.rules.flatMap(({ apiGroups, resources, verbs }) => [
      ...apiGroups,
      ...resources,
      ...verbs,
    ]);
    assert.ok(!all.includes("*") && !all.includes("secrets"), JSON.stringify(inputs.rules));
    // What it watches and what it may read is the same: a kind that it may not list would stop every comparison.
    const watched = JSON.parse(values.configs.cm["resource.inclusions"]) as { kinds: string[] }[];
    const listed = inputs.rules.flatMap(({ resources, verbs }) => (verbs.includes("list") ? resources : []));
    assert.equal(watched.flatMap(({ kinds }) => kinds).length, new Set(listed).size);
  }
  for (const { inputs } of ofGitops("kubernetes:rbac.authorization.k8s.io/v1:RoleBinding")) {
    assert.deepEqual(inputs.subjects, [
      { kind: "ServiceAccount", name: argoCdFacts.controllerAccount, namespace: "argocd" },
    ]);
  }
});

test("with a source there is its project, which stands still around the cluster's end; without one there is none", async () => {
  const projects = (recording: Awaited<ReturnType<typeof recordGitops>>) =>
    recording.all("kubernetes:argoproj.io/v1alpha1:AppProject").map(({ inputs }) => inputs) as {
      metadata: { name: string };
      spec: { sourceRepos: string[]; syncWindows?: { kind: string }[] };
    }[];
  const named = (list: ReturnType<typeof projects>) => list.map(({ metadata }) => metadata.name).sort();
  assert.deepEqual(named(projects(await recordGitops())), ["default"]);
  const followed = projects(await recordGitops({ source }));
  assert.deepEqual(named(followed), ["default", "trading"]);
  const project = followed.find(({ metadata }) => metadata.name === "trading");
  assert.deepEqual(project?.spec.sourceRepos, [source.repository]);
  assert.deepEqual(
    project?.spec.syncWindows?.map(({ kind }) => kind),
    ["deny"],
  );
});

test("credentials of the repository are a Secret of Argo CD's namespace; a public one needs none", async () => {
  const secretOf = async (credentials?: GitopsArgs["credentials"]) => {
    const recording = await recordGitops({ source, credentials });
    return recording.all("kubernetes:core/v1:Secret").find(({ name }) => name === "gitops-repository");
  };
  assert.equal(await secretOf(), undefined);
  assert.equal(await secretOf({ user: "git" }), undefined);
  const https = await secretOf({ user: "reader", token: "t0ken" });
  assert.deepEqual(https?.inputs["metadata"], {
    name: "repository",
    namespace: "argocd",
    labels: { "argocd.argoproj.io/secret-type": "repository" },
  });
  assert.deepEqual(https?.inputs["stringData"], {
    type: "git",
    url: source.repository,
    project: "trading",
    username: "reader",
    password: "t0ken",
  });
  assert.ok(
    https?.secretInputs.some((path) => path.startsWith("stringData")),
    String(https?.secretInputs),
  );
  const ssh = await secretOf({ user: "git", sshKey: "key" });
  assert.deepEqual(ssh?.inputs["stringData"], {
    type: "git",
    url: source.repository,
    project: "trading",
    sshPrivateKey: "key",
  });
});
