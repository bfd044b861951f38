/** The administrator's kubeconfig of a simulated cluster, in the shape of k3s's `/etc/rancher/k3s/k3s.yaml`. */
import { createClientCredentials } from "./certificate.ts";

const base64 = (text: string) => Buffer.from(text).toString("base64");

/** @returns YAML; its context is called `simulated`, because no Kubernetes API answers at its address. */
export function simulatedKubeconfig(): string {
  const made = Date.now();
  const credentials = createClientCredentials(`k3s-server-ca@${Math.floor(made / 1_000)}`, {
    organization: "system:masters",
    commonName: "system:admin",
  });
  return `apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: ${base64(credentials.authority)}
    server: https://127.0.0.1:6443
  name: simulated
contexts:
- context:
    cluster: simulated
    user: simulated
  name: simulated
current-context: simulated
kind: Config
preferences: {}
users:
- name: simulated
  user:
    client-certificate-data: ${base64(credentials.certificate)}
    client-key-data: ${base64(credentials.key)}
`;
}
