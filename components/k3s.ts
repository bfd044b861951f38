import { remote, type types } from "@pulumi/command";
import * as kubernetes from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { firstContact, scriptDirectory } from "./cloud-init/scripts.ts";
import type { K3sBootstrap } from "./k3s-bootstrap.ts";
import { kubernetesApiPort } from "./network.ts";
import type { NodeName, Nodes } from "./nodes.ts";

export interface K3sArgs {
  nodes: Nodes;
  bootstrap: K3sBootstrap;
  clusterId: pulumi.Input<string>;
  /** Port at which SSH answers on the servers' public addresses. Default: 22. */
  sshPort?: number;
  /** Write objects to this folder instead of sending them to the cluster. Default: send them. */
  renderDirectory?: string | undefined;
}

/** Puts the public address where k3s wrote a local one. @throws Error when there is none. */
export function withServerAddress(kubeconfig: string, address: string): string {
  const local = /^(\s*server:\s*)https:\/\/\S+$/m;
  if (!local.test(kubeconfig)) throw new Error("print-kubeconfig gave no kubeconfig: it names no server");
  return kubeconfig.replace(local, `$1https://${address}:${kubernetesApiPort}`);
}

/** The running cluster: waits for the nodes, fetches the kubeconfig, and is the way into Kubernetes. */
export class K3s extends pulumi.ComponentResource {
  /** Administrator's kubeconfig with the public address. Secret. */
  readonly kubeconfig: pulumi.Output<string>;
  /** For objects in the cluster; usable as soon as the control plane is Ready. */
  readonly provider: kubernetes.Provider;
  /** Done when every node is Ready. */
  readonly allNodesReady: remote.Command;
  /** Deleting this server removes everything in the cluster: for `deletedWith`. */
  readonly controlPlane: pulumi.Resource;

  readonly #connection: (node: NodeName) => types.input.remote.ConnectionArgs;

  constructor(name: string, args: K3sArgs, opts?: pulumi.ComponentResourceOptions) {
    super("trading:components:K3s", name, {}, opts);
    this.controlPlane = args.nodes.controlPlane;
    const hostKeyOf = (node: NodeName) => {
      const key = args.bootstrap.hostKeys[node];
      // Without one, any host would be believed.
      if (key === undefined) throw new Error(`the bootstrap made no host key for ${node}`);
      return key;
    };
    this.#connection = (node) => ({
      host: args.nodes.servers[node].ipv4Address,
      port: args.sshPort ?? 22,
      user: "root",
      privateKey: args.bootstrap.sshPrivateKey,
      hostKey: hostKeyOf(node),
      // A server answers after some 20 s of boot; refused dials are repeated every few seconds.
      dialErrorLimit: 60,
      perDialTimeout: 10,
    });

    const ready = new Map<NodeName, remote.Command>(
      args.nodes.plans.map(({ nodeName }) => [
        nodeName,
        this.#command(`${name}-wait-for-${nodeName}`, nodeName, firstContact("wait-for-node"), [
          args.nodes.servers[nodeName],
        ]),
      ]),
    );
    const controlPlaneReady = ready.get("k3s-control");
    if (controlPlaneReady === undefined) throw new Error("the plan has no control plane");

    this.allNodesReady = this.#command(
      `${name}-wait-for-nodes`,
      "k3s-control",
      `${scriptDirectory}/wait-for-nodes ${ready.size}`,
      [...ready.values()],
    );

    const printed = new remote.Command(
      `${name}-kubeconfig`,
      {
        connection: this.#connection("k3s-control"),
        create: `${scriptDirectory}/print-kubeconfig`,
        logging: "none",
      },
      { parent: this, dependsOn: [controlPlaneReady], additionalSecretOutputs: ["stdout"] },
    );
    this.kubeconfig = pulumi.secret(
      pulumi
        .all([printed.stdout, args.nodes.controlPlane.ipv4Address])
        .apply(([kubeconfig, address]) => withServerAddress(kubeconfig, address)),
    );

    this.provider = new kubernetes.Provider(
      `${name}-kubernetes`,
      {
        // The provider takes one or the other, never both.
        ...(args.renderDirectory === undefined
          ? { kubeconfig: this.kubeconfig }
          : { renderYamlToDirectory: args.renderDirectory }),
        // A provider of the same cluster is updated in place, whatever else in its kubeconfig changes.
        clusterIdentifier: args.clusterId,
        // Settings and secrets have fixed names, so a change must not try to make a second one.
        enableConfigMapMutable: true,
        enableSecretMutable: true,
        // A refused destroy forgets services that still run; the next `up` takes them over.
        upsertExistingObjects: true,
      },
      { parent: this, dependsOn: [printed] },
    );
    this.registerOutputs({});
  }

  /** Waits, on the control plane, until custom resource definitions that a chart brings are established. */
  waitForCrds(
    name: string,
    crds: readonly string[],
    opts: { parent: pulumi.Resource; dependsOn: pulumi.Resource[] },
  ): remote.Command {
    const line = `${scriptDirectory}/wait-for-crds ${crds.join(" ")}`;
    return this.#command(name, "k3s-control", line, opts.dependsOn, opts.parent);
  }

  /** Options for an object in the cluster: it goes with the servers, not object by object. */
  inCluster(parent: pulumi.Resource, dependsOn: pulumi.Resource[] = []): pulumi.CustomResourceOptions {
    return { parent, provider: this.provider, deletedWith: this.controlPlane, dependsOn };
  }

  #command(
    name: string,
    node: NodeName,
    line: string,
    dependsOn: pulumi.Resource[],
    parent: pulumi.Resource = this,
  ): remote.Command {
    const inputs = { connection: this.#connection(node), create: line };
    return new remote.Command(name, inputs, { parent, dependsOn });
  }
}
