/** The programs of the control plane and their flags. All of them listen on loopback or not at all. */
import path from "node:path";

/** Ports and folders of one control plane. */
export interface Layout {
  /** Certificates, kubeconfigs and etcd's data; mode 0700. */
  directory: string;
  apiPort: number;
  etcdPort: number;
  etcdPeerPort: number;
}

export interface Program {
  /** The first argument of the binary. */
  name: string;
  args: string[];
}

/** As k3s has it, so that addresses of services look alike: https://docs.k3s.io/cli/server#networking. */
const serviceNetwork = "10.43.0.0/16";
const podNetwork = "10.42.0.0/16";

export const certificateDirectory = ({ directory }: Layout): string => path.join(directory, "certificates");

const certificates = (layout: Layout) => ({
  authority: path.join(certificateDirectory(layout), "authority.crt"),
  of: (identity: string) => ({
    certificate: path.join(certificateDirectory(layout), `${identity}.crt`),
    key: path.join(certificateDirectory(layout), `${identity}.key`),
  }),
});

export const kubeconfigPath = ({ directory }: Layout, identity: string): string =>
  path.join(directory, `${identity}.kubeconfig`);

export const serverUrl = ({ apiPort }: Layout): string => `https://127.0.0.1:${apiPort}`;

/** A kubeconfig that names files of the layout. JSON is YAML. */
export function kubeconfig(layout: Layout, identity: string): string {
  const { authority, of } = certificates(layout);
  const { certificate, key } = of(identity);
  return `${JSON.stringify(
    {
      apiVersion: "v1",
      kind: "Config",
      clusters: [{ name: "lab", cluster: { server: serverUrl(layout), "certificate-authority": authority } }],
      users: [{ name: identity, user: { "client-certificate": certificate, "client-key": key } }],
      contexts: [{ name: "lab", context: { cluster: "lab", user: identity } }],
      "current-context": "lab",
    },
    null,
    2,
  )}\n`;
}

/** Nothing of a lab outlives the machine's crash, so nothing is synced to disk. */
export function etcd(layout: Layout): Program {
  const { authority, of } = certificates(layout);
  const { certificate, key } = of("server");
  const client = `https://127.0.0.1:${layout.etcdPort}`;
  const peer = `https://127.0.0.1:${layout.etcdPeerPort}`;
  return {
    name: "etcd",
    args: [
      `--data-dir=${path.join(layout.directory, "etcd")}`,
      `--listen-client-urls=${client}`,
      `--advertise-client-urls=${client}`,
      `--listen-peer-urls=${peer}`,
      `--initial-advertise-peer-urls=${peer}`,
      `--initial-cluster=default=${peer}`,
      `--cert-file=${certificate}`,
      `--key-file=${key}`,
      "--client-cert-auth",
      `--trusted-ca-file=${authority}`,
      `--peer-cert-file=${certificate}`,
      `--peer-key-file=${key}`,
      "--peer-client-cert-auth",
      `--peer-trusted-ca-file=${authority}`,
      "--unsafe-no-fsync",
      "--log-level=warn",
    ],
  };
}

/** Authorization and admission are Kubernetes' defaults; anything more would hide what a real cluster refuses. */
export function apiServer(layout: Layout): Program {
  const { authority, of } = certificates(layout);
  const server = of("server");
  const serviceAccounts = path.join(certificateDirectory(layout), "service-accounts.key");
  return {
    name: "kube-apiserver",
    args: [
      "--bind-address=127.0.0.1",
      `--secure-port=${layout.apiPort}`,
      "--endpoint-reconciler-type=none",
      `--tls-cert-file=${server.certificate}`,
      `--tls-private-key-file=${server.key}`,
      `--client-ca-file=${authority}`,
      `--etcd-servers=https://127.0.0.1:${layout.etcdPort}`,
      `--etcd-cafile=${authority}`,
      `--etcd-certfile=${server.certificate}`,
      `--etcd-keyfile=${server.key}`,
      "--authorization-mode=Node,RBAC",
      "--anonymous-auth=false",
      // As k3s: what may be privileged is decided by Pod Security.
      "--allow-privileged=true",
      `--service-cluster-ip-range=${serviceNetwork}`,
      "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
      `--service-account-key-file=${serviceAccounts}`,
      `--service-account-signing-key-file=${serviceAccounts}`,
    ],
  };
}

export function controllerManager(layout: Layout): Program {
  const { authority } = certificates(layout);
  return {
    name: "kube-controller-manager",
    args: [
      `--kubeconfig=${kubeconfigPath(layout, "controller-manager")}`,
      "--secure-port=0",
      "--leader-elect=false",
      "--use-service-account-credentials",
      `--root-ca-file=${authority}`,
      `--service-account-private-key-file=${path.join(certificateDirectory(layout), "service-accounts.key")}`,
      "--allocate-node-cidrs",
      `--cluster-cidr=${podNetwork}`,
      // A deleted namespace or a changed quota is seen soon.
      "--resource-quota-sync-period=5s",
    ],
  };
}

export function scheduler(layout: Layout): Program {
  return {
    name: "kube-scheduler",
    args: [`--kubeconfig=${kubeconfigPath(layout, "scheduler")}`, "--secure-port=0", "--leader-elect=false"],
  };
}

/** Plays the kubelets: nodes are Ready and pods that are bound to them run, as its stages say. No container is started. */
export function kwok(layout: Layout, stages: readonly string[]): Program {
  return {
    name: "kwok",
    args: [
      `--kubeconfig=${kubeconfigPath(layout, "kwok")}`,
      "--manage-all-nodes=true",
      "--node-ip=",
      "--node-lease-duration-seconds=40",
      "--server-address=",
      ...stages.map((file) => `--config=${file}`),
    ],
  };
}
