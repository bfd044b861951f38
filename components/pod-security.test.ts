/**
 * Every service's pod against each control of the Pod Security level `restricted`, as the standard lists them
 * (https://kubernetes.io/docs/concepts/security/pod-security-standards/), and what we ask for beyond it.
 */
import assert from "node:assert/strict";
import test from "node:test";
import { catalog, type Deployable } from "../services/catalog.ts";
import { podKinds, workloadObjects } from "./workloads.ts";

interface SecurityContext {
  runAsNonRoot?: boolean;
  runAsUser?: number;
  runAsGroup?: number;
  privileged?: boolean;
  allowPrivilegeEscalation?: boolean;
  readOnlyRootFilesystem?: boolean;
  procMount?: string;
  seccompProfile?: { type: string };
  capabilities?: { drop?: string[]; add?: string[] };
  sysctls?: unknown;
  windowsOptions?: unknown;
  seLinuxOptions?: unknown;
  appArmorProfile?: unknown;
}

interface Container {
  securityContext?: SecurityContext;
  ports?: { hostPort?: number }[];
  volumeMounts?: { name: string }[];
}

interface PodSpec {
  hostNetwork?: boolean;
  hostPID?: boolean;
  hostIPC?: boolean;
  automountServiceAccountToken?: boolean;
  securityContext?: SecurityContext;
  containers: Container[];
  initContainers?: Container[];
  ephemeralContainers?: Container[];
  volumes?: Record<string, unknown>[];
}

const allowedVolumes = [
  "configMap",
  "csi",
  "downwardAPI",
  "emptyDir",
  "ephemeral",
  "persistentVolumeClaim",
  "projected",
  "secret",
];

/** What of a pod the standard's controls refuse, each in words. */
function violations(pod: PodSpec): string[] {
  const found: string[] = [];
  const demand = (holds: boolean, control: string) => holds || found.push(control);
  const containers = [...pod.containers, ...(pod.initContainers ?? []), ...(pod.ephemeralContainers ?? [])];
  const contexts = [pod.securityContext ?? {}, ...containers.map((each) => each.securityContext ?? {})];
  demand(!(pod.hostNetwork ?? pod.hostPID ?? pod.hostIPC ?? false), "host namespaces");
  for (const volume of pod.volumes ?? []) {
    const types = Object.keys(volume).filter((key) => key !== "name");
    demand(types.length === 1 && allowedVolumes.includes(types[0] ?? ""), `volume types: ${types.join()}`);
  }
  for (const context of contexts) {
    demand(context.privileged !== true, "privileged");
    demand(context.procMount === undefined || context.procMount === "Default", "/proc mount type");
    demand(context.sysctls === undefined, "sysctls");
    demand(context.windowsOptions === undefined, "HostProcess");
    demand(
      context.seLinuxOptions === undefined && context.appArmorProfile === undefined,
      "profiles of the host",
    );
    demand(context.runAsUser !== 0 && context.runAsGroup !== 0, "running as root");
    demand(context.runAsNonRoot !== false, "running as non-root");
    demand((context.capabilities?.add ?? []).length === 0, "capabilities added");
  }
  for (const container of containers) {
    const inherited = { ...pod.securityContext, ...container.securityContext };
    demand(
      (container.ports ?? []).every(({ hostPort }) => hostPort === undefined),
      "host ports",
    );
    demand(inherited.allowPrivilegeEscalation === false, "privilege escalation");
    demand(inherited.runAsNonRoot === true, "running as non-root");
    demand(inherited.seccompProfile?.type === "RuntimeDefault", "seccomp");
    demand((inherited.capabilities?.drop ?? []).includes("ALL"), "capabilities dropped");
    demand(inherited.readOnlyRootFilesystem === true, "read-only root file system");
  }
  return found;
}

function podOf(service: Deployable): PodSpec {
  const images = { registry: "ghcr.io/trading-cz", version: "v1.2.3" };
  const objects = workloadObjects(service, images).filter(({ kind }) =>
    podKinds.some((each) => each === kind),
  );
  assert.equal(objects.length, 1);
  const [object] = objects as unknown as [{ spec: { template: { spec: PodSpec } } }];
  return object.spec.template.spec;
}

for (const service of catalog) {
  test(`${service.name}: its pod meets every control of restricted, and writes to nothing of its image`, () => {
    assert.deepEqual(violations(podOf(service)), []);
    assert.equal(podOf(service).automountServiceAccountToken, service.keepsEvidence === true);
  });
}

test("each control is able to refuse", () => {
  const [container] = podOf(catalog[0] as Deployable).containers as [Container];
  const pod = (context: SecurityContext, rest: Partial<PodSpec> = {}): PodSpec => ({
    ...podOf(catalog[0] as Deployable),
    ...rest,
    containers: [{ ...container, securityContext: { ...container.securityContext, ...context } }],
  });
  const broken: [string, PodSpec][] = [
    ["host namespaces", pod({}, { hostNetwork: true })],
    ["volume types: hostPath", pod({}, { volumes: [{ name: "host", hostPath: { path: "/" } }] })],
    ["privileged", pod({ privileged: true })],
    ["/proc mount type", pod({ procMount: "Unmasked" })],
    ["sysctls", pod({ sysctls: [] })],
    ["running as root", pod({ runAsUser: 0 })],
    ["running as non-root", pod({}, { securityContext: { seccompProfile: { type: "RuntimeDefault" } } })],
    ["seccomp", pod({}, { securityContext: { runAsNonRoot: true } })],
    ["privilege escalation", pod({ allowPrivilegeEscalation: true })],
    ["capabilities dropped", pod({ capabilities: { drop: ["NET_RAW"] } })],
    ["capabilities added", pod({ capabilities: { drop: ["ALL"], add: ["SYS_ADMIN"] } })],
    ["read-only root file system", pod({ readOnlyRootFilesystem: false })],
    ["host ports", { ...pod({}), containers: [{ ...container, ports: [{ hostPort: 80 }] }] }],
  ];
  for (const [control, refused] of broken) assert.deepEqual(violations(refused), [control]);
});
