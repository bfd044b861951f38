import assert from "node:assert/strict";
import test from "node:test";
import { managedKinds, managedKindsOf } from "./argocd-kinds.ts";
import {
  appProject,
  closedDefaultProject,
  closingSeconds,
  closingWindow,
  rootApplication,
} from "./argocd-objects.ts";
import { services, workloadObjects } from "./workloads.ts";

const source = {
  repository: "https://git.example.com/a.git",
  path: "k8s/overlays/prod",
  revision: "production",
};

test("the project allows what k8s/ has, from one repository, in the services' namespaces", () => {
  const { spec } = appProject(source);
  assert.deepEqual(spec.sourceRepos, [source.repository]);
  assert.deepEqual(
    spec.destinations?.map(({ namespace }) => namespace),
    ["ingestion", "kafka", "strategies"],
  );
  assert.deepEqual(spec.clusterResourceWhitelist, []);
  const allowed = new Set(spec.namespaceResourceWhitelist?.map(({ group, kind }) => `${group}/${kind}`));
  const images = { registry: "ghcr.io/trading-cz", version: "v1.0.0" };
  const brought = new Set(
    services
      .flatMap((service) => workloadObjects(service, images))
      .map(({ apiVersion, kind }) => `${apiVersion.split("/").slice(0, -1).join("/")}/${kind}`),
  );
  assert.deepEqual([...allowed].sort(), [...brought].sort());
  for (const never of [
    "/Secret",
    "/Namespace",
    "argoproj.io/Application",
    "rbac.authorization.k8s.io/Role",
  ]) {
    assert.ok(!allowed.has(never), never);
  }
});

test("a kind that is not meant to come from Git is refused", () => {
  assert.throws(() => managedKindsOf([{ apiVersion: "v1", kind: "Secret" }]), /kind Secret \(v1\), expected/);
  assert.ok(managedKinds().length > 3);
});

test("an Application without a project may do nothing", () => {
  const { metadata, spec } = closedDefaultProject();
  assert.equal(metadata.name, "default");
  assert.deepEqual([spec.sourceRepos, spec.destinations], [[], []]);
});

test("the first sync is asked for, in the way in which later ones are done", () => {
  const { spec, operation, metadata } = rootApplication(source);
  assert.equal(spec.project, appProject(source).metadata.name);
  assert.deepEqual(operation.sync?.syncOptions, spec.syncPolicy.syncOptions);
  assert.deepEqual(operation.retry, spec.syncPolicy.retry);
  // A revision would pin the first sync to it, while the branch goes on.
  assert.equal(operation.sync?.revision, undefined);
  assert.ok(spec.syncPolicy.syncOptions?.includes("ServerSideApply=true"));
  // With a finalizer, deleting the Application would delete the services before the archive is sealed.
  assert.equal("finalizers" in metadata, false);
});

test("what could replace an object as a whole is not among the options", () => {
  const { spec } = rootApplication(source);
  assert.deepEqual(
    spec.syncPolicy.syncOptions?.filter((option) => /Replace|Force|CreateNamespace=true/.test(option)),
    [],
  );
});

/** When a window is open, as Argo CD reads it: `schedule` in UTC with minute, hour, day and month, for `duration`. */
function isOpen(window: ReturnType<typeof closingWindow>, at: number): boolean {
  const [minute, hour, day, month, weekday] = (window.schedule ?? "").split(" ");
  assert.deepEqual([window.timeZone, window.duration, weekday], ["UTC", "24h", "*"]);
  const year = new Date(at * 1_000).getUTCFullYear();
  return [year - 1, year].some((each) => {
    const from = Date.UTC(each, Number(month) - 1, Number(day), Number(hour), Number(minute)) / 1_000;
    return from <= at && at < from + 24 * 3_600;
  });
}

test("nothing is rolled out from a quarter of an hour before the day's end on, over midnight and the year's end", () => {
  for (const end of ["2026-01-15T21:00:00Z", "2025-12-31T23:59:00Z", "2026-01-01T00:05:00Z"]) {
    const expiresAt = Date.parse(end) / 1_000;
    const window = closingWindow(expiresAt);
    assert.equal(window.kind, "deny");
    assert.equal(window.manualSync, true);
    assert.equal(isOpen(window, expiresAt - closingSeconds - 60), false, end);
    for (const second of [-closingSeconds, -60, 0, 3_600]) {
      assert.equal(isOpen(window, expiresAt + second), true, `${end} ${second}`);
    }
  }
});
