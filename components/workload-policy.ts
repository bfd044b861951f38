/**
 * The flows of a service's pod, from its row; everything else is refused. The lab, where pods are processes, enforces
 * none of it.
 */
import type { types } from "@pulumi/kubernetes";
import type { Deployable } from "../services/catalog.ts";
import {
  prometheus,
  tcp,
  toDns,
  toInternet,
  toKafka,
  toKubernetesApi,
  toPrometheus,
} from "./network-peers.ts";
import { httpPort } from "./workload-settings.ts";

/** Port of everything outside that a service talks to: TLS. */
export const outsidePort = 443;

/** Who may talk to a service's pod, and to whom it may talk. */
export function networkPolicy(service: Deployable): types.input.networking.v1.NetworkPolicySpec {
  return {
    podSelector: { matchLabels: { "app.kubernetes.io/name": service.name } },
    policyTypes: ["Ingress", "Egress"],
    // Probes come from the pod's own node, which k3s always lets in.
    ingress: service.kind === "Job" ? [] : [{ from: [prometheus], ports: tcp(httpPort) }],
    egress: [
      toDns,
      // Even without topics in its row: the topics of control and of dead letters are everybody's.
      toKafka,
      ...((service.reaches ?? []).length === 0 ? [] : [toInternet(outsidePort)]),
      ...(service.keepsEvidence === true ? [toKubernetesApi, toPrometheus] : []),
    ],
  };
}
