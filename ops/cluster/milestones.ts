/** What matters of an engine's run, one line each: resources of the program and what their end means to people. */

/** An operation that has ended. */
interface Ended {
  operation: string;
  type: string;
  name: string;
}

/** By the names that the program gives (stacks/graph); what is not here is a detail. */
const brought: readonly (readonly [RegExp, string])[] = [
  [/^k3s-wait-for-nodes$/, "k3s is ready on all nodes"],
  [/^monitoring-definitions$/, "Prometheus' operator is installed"],
  [/^gitops-definitions$/, "Argo CD is installed"],
  [/^kafka-definitions$/, "Kafka's operator is installed"],
  [/^kafka-cluster$/, "Kafka is ready"],
  [/^prepare-day$/, "topics are made, the archive is opened"],
  [/^delivery-root$/, "Argo CD delivers the services"],
  [/^export-gate-sealed-archive$/, "the export gate stands"],
];
const removed: readonly (readonly [RegExp, string])[] = [
  [/^export-gate-sealed-archive$/, "the archive is sealed and verified"],
];

const creating = /^(create|replace|create-replacement)$/;
const serverType = "hcloud:index/server:Server";
const workloadType = /^kubernetes:apps\/v1:(Deployment|StatefulSet)$/;

/** The line; undefined for a detail. */
export function milestoneOf({ operation, type, name }: Ended): string | undefined {
  const isNew = creating.test(operation);
  // A component is done when it is registered, not when what is in it is.
  if ((!isNew && operation !== "delete") || type.startsWith("trading:")) return undefined;
  if (type === serverType) return `server ${name.replace(/^nodes-/, "")} is ${isNew ? "created" : "deleted"}`;
  if (isNew && workloadType.test(type)) return `service ${name.replace(/^delivery-/, "")} is applied`;
  return (isNew ? brought : removed).find(([pattern]) => pattern.test(name))?.[1];
}
