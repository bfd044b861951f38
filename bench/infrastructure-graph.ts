/**
 * The least time that an `up` can take in the latency model: the stages of a cluster's birth, what each cannot begin
 * without, and the longest chain through them. The order is physical necessity, not our program's choice: a server is
 * created before it boots, a chart's definitions are there before its objects, a pod's image is on its node before it
 * starts. Where our program waits for more than that (for the private network before the start, for polls, for images
 * that could have been fetched ahead), it is our program's loss. Every duration is the model's.
 */
import type { NodePlan } from "../components/nodes.ts";
import { nodePlans } from "../components/nodes.ts";
import { durations, imagePullMs, megabytesOf, type TimedStep } from "../lab/hetzner/durations.ts";
import { brokerImage, chartContents, helmJobImage } from "../lab/model-time/charts.ts";
import { services } from "../components/workloads.ts";

/** One stage. */
export interface Stage {
  name: string;
  /** Where it happens: a node, or `outside` for what the operator's machine asks for. */
  place: string;
  /** Model milliseconds. */
  takes: number;
  /** Names of the stages that must have ended. */
  after: readonly string[];
}

/** A way through the stages, each of which waits for the one before. */
export interface Chain {
  stages: readonly Stage[];
  /** Model milliseconds. */
  takes: number;
}

const model = (step: TimedStep): number => durations[step].model;
const pull = (images: readonly string[]): number => imagePullMs(images.map(megabytesOf));

/** The node of what runs beside the brokers (seed 000). */
const nodeOf = {
  strimzi: "kafka-1",
  prometheus: "kafka-0",
  argo: "k3s-control",
  services: "k3s-control",
} as const;
const controlPlane = "k3s-control";

function podsOf(chart: string) {
  return chartContents[chart]?.pods ?? [];
}

/** Images that each node needs, the one that others wait for first. */
function imagesOf(plan: NodePlan): string[] {
  const charts: Record<string, string> = {
    "strimzi-kafka-operator": nodeOf.strimzi,
    "kube-prometheus-stack": nodeOf.prometheus,
    "argo-cd": nodeOf.argo,
  };
  return [
    ...(plan.nodeName === controlPlane ? [helmJobImage] : []),
    ...(plan.nodeName === nodeOf.strimzi
      ? podsOf("strimzi-kafka-operator").flatMap(({ images }) => images)
      : []),
    ...(plan.role === "kafka" ? [brokerImage] : []),
    ...Object.entries(charts)
      .filter(([chart, node]) => chart !== "strimzi-kafka-operator" && node === plan.nodeName)
      .flatMap(([chart]) => podsOf(chart).flatMap(({ images }) => images)),
    ...(plan.nodeName === nodeOf.services
      ? ["trading-cz/prepare-day", ...services.map(({ name }) => `trading-cz/${name}`)]
      : []),
  ];
}

const at = (node: string, name: string) => `${name} ${node}`;

/** The stages of one machine, up to a node that is Ready. */
function machineStages(plan: NodePlan): Stage[] {
  const node = plan.nodeName;
  const stage = (name: string, takes: number, after: readonly string[]): Stage => ({
    name: at(node, name),
    place: node,
    takes,
    after: after.map((other) => (other.startsWith("=") ? other.slice(1) : at(node, other))),
  });
  const join =
    node === controlPlane
      ? stage("ready", model("k3s_server_ready"), ["install k3s"])
      : stage("ready", model("k3s_agent_ready"), [
          "install k3s",
          "private network",
          `=${at(controlPlane, "ready")}`,
        ]);
  let before = "install k3s";
  const pulls = imagesOf(plan).map((image) => {
    const name = `image ${image}`;
    const one = stage(name, pull([image]), [before]);
    before = name;
    return one;
  });
  return [
    stage("ask for server", model("api_request"), ["=SSH key, firewall and placement group"]),
    stage("create", model("create_server"), ["ask for server"]),
    stage("start", model("start_server"), ["create"]),
    stage("private network", model("attach_to_network"), ["create", "=subnet"]),
    stage("boot", model("boot_until_ssh") + model("boot_until_runcmd"), ["start"]),
    stage("install k3s", model("install_k3s"), ["boot"]),
    join,
    // The binary of k3s brings what fetches images. A line carries one after the other.
    ...pulls,
  ];
}

/** The pods that a chart brings, once its definitions are there. */
function chartStages(chart: string, node: string): Stage[] {
  const installed = `${chart} installed`;
  return [
    {
      name: `apply ${chart}`,
      place: "outside",
      takes: model("kubernetes_request"),
      after: ["namespaces"],
    },
    {
      name: installed,
      place: controlPlane,
      takes: model("charts_installed"),
      after: [`apply ${chart}`, at(controlPlane, `image ${helmJobImage}`)],
    },
    ...podsOf(chart).map(({ name, images, step, startedBy }) => ({
      name,
      place: node,
      takes: model(step),
      after: [
        startedBy ?? installed,
        at(node, "ready"),
        ...images.map((image) => at(node, `image ${image}`)),
      ],
    })),
  ];
}

/** All stages of a cluster of four nodes whose services come from Git. */
export function upStages(): Stage[] {
  const outside = (name: string, takes: number, after: readonly string[]): Stage => ({
    name,
    place: "outside",
    takes,
    after,
  });
  const request = model("kubernetes_request");
  const brokers = nodePlans.filter(({ role }) => role === "kafka").map(({ nodeName }) => nodeName);
  return [
    outside("what can be ordered", model("api_request"), []),
    outside("SSH key, firewall and placement group", model("api_request"), ["what can be ordered"]),
    outside("network", model("api_request"), ["what can be ordered"]),
    outside("subnet", model("api_request") + model("add_subnet"), ["network"]),
    ...nodePlans.flatMap((plan) => machineStages(plan)),
    outside("kubeconfig", model("ssh_command"), [at(controlPlane, "ready")]),
    outside("namespaces", request, ["kubeconfig"]),
    ...chartStages("strimzi-kafka-operator", nodeOf.strimzi),
    ...chartStages("kube-prometheus-stack", nodeOf.prometheus),
    ...chartStages("argo-cd", nodeOf.argo),
    outside("apply Kafka", request, ["strimzi-kafka-operator installed"]),
    ...brokers.map((node) => ({
      name: at(node, "broker"),
      place: node,
      takes: model("broker_ready"),
      after: ["apply Kafka", "strimzi-operator", at(node, "ready"), at(node, `image ${brokerImage}`)],
    })),
    // The archive is opened before any service starts, and topics need brokers.
    outside(
      "apply prepare-day",
      request,
      brokers.map((node) => at(node, "broker")),
    ),
    {
      name: "prepare-day",
      place: nodeOf.services,
      takes: model("prepare_day"),
      after: ["apply prepare-day", at(nodeOf.services, "image trading-cz/prepare-day")],
    },
    outside("apply root Application", request, ["prepare-day"]),
    {
      name: "Argo CD sync",
      place: nodeOf.argo,
      takes: model("argocd_sync"),
      after: ["apply root Application", "argo-cd"],
    },
    ...services.map(({ name }) => ({
      name: `service ${name}`,
      place: nodeOf.services,
      takes: model("service_ready"),
      after: ["Argo CD sync", at(nodeOf.services, `image trading-cz/${name}`)],
    })),
  ];
}

/** The last thing that the program itself does; after it Argo CD goes on alone. */
export const lastOfProgram = "apply root Application";

/**
 * The longest chain of stages, each waiting for the one before.
 * @param until the stage at which it ends; default: whichever is last
 * @throws Error when a stage names one that is not there, or waits for itself
 */
export function longestChain(stages: readonly Stage[], until?: string): Chain {
  const byName = new Map(stages.map((stage) => [stage.name, stage]));
  const found = new Map<string, Chain>();
  const open = new Set<string>();
  const chainTo = (name: string): Chain => {
    const known = found.get(name);
    if (known !== undefined) return known;
    const stage = byName.get(name);
    if (stage === undefined) throw new Error(`no stage is called "${name}"`);
    if (open.has(name)) throw new Error(`the stage "${name}" waits for itself`);
    open.add(name);
    const longest = longestOf(stage.after.map(chainTo));
    open.delete(name);
    const chain = { stages: [...longest.stages, stage], takes: longest.takes + stage.takes };
    found.set(name, chain);
    return chain;
  };
  return until === undefined ? longestOf(stages.map(({ name }) => chainTo(name))) : chainTo(until);
}

function longestOf(chains: readonly Chain[]): Chain {
  return chains.reduce((one, other) => (other.takes > one.takes ? other : one), { stages: [], takes: 0 });
}

/**
 * The order of seed 000's "Bootstrap Sequence", one stage after the other and one node after the other: create the VMs;
 * install k3s on the control node and join the agents; Strimzi; the Prometheus operator; Argo CD; the applications, which
 * in seed 000 hold Kafka and the services. Images are pulled when they are asked for.
 */
export function sequentialStages(): Stage[] {
  const stages: Stage[] = [];
  const then = (name: string, place: string, takes: number): void => {
    const before = stages.at(-1);
    stages.push({ name, place, takes, after: before === undefined ? [] : [before.name] });
  };
  const request = model("kubernetes_request");
  then("what can be ordered", "outside", model("api_request"));
  then("SSH key, firewall and placement group", "outside", 3 * model("api_request"));
  then("network and subnet", "outside", 2 * model("api_request") + model("add_subnet"));
  for (const { nodeName } of nodePlans) {
    then(at(nodeName, "create"), nodeName, model("api_request") + model("create_server"));
    then(at(nodeName, "private network"), nodeName, model("api_request") + model("attach_to_network"));
    then(at(nodeName, "start"), nodeName, model("api_request") + model("start_server"));
    then(at(nodeName, "boot"), nodeName, model("boot_until_ssh") + model("boot_until_runcmd"));
  }
  for (const { nodeName } of nodePlans) {
    then(at(nodeName, "install k3s"), nodeName, model("ssh_command") + model("install_k3s"));
    const ready = nodeName === controlPlane ? "k3s_server_ready" : "k3s_agent_ready";
    then(at(nodeName, "ready"), nodeName, model(ready));
  }
  then("kubeconfig", "outside", model("ssh_command"));
  const charts = [
    ["strimzi-kafka-operator", nodeOf.strimzi],
    ["kube-prometheus-stack", nodeOf.prometheus],
    ["argo-cd", nodeOf.argo],
  ] as const;
  charts.forEach(([chart, node], index) => {
    then(`apply ${chart}`, "outside", 2 * request);
    if (index === 0) then(`image ${helmJobImage}`, controlPlane, pull([helmJobImage]));
    then(`${chart} installed`, controlPlane, model("charts_installed"));
    for (const pod of podsOf(chart)) {
      then(`images ${pod.name}`, node, pull(pod.images));
      then(pod.name, node, model(pod.step));
    }
  });
  then("apply root Application", "outside", request);
  then("Argo CD sync", nodeOf.argo, model("argocd_sync"));
  // The three brokers' nodes pull and start at once: one Kafka object.
  then("images brokers", "kafka-0", pull([brokerImage]));
  then("brokers", "kafka-0", model("broker_ready"));
  const own = ["trading-cz/prepare-day", ...services.map(({ name }) => `trading-cz/${name}`)];
  then("images services", nodeOf.services, pull(own));
  then("prepare-day", nodeOf.services, model("prepare_day"));
  then("services", nodeOf.services, model("service_ready"));
  return stages;
}
