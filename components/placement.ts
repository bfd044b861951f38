import type * as kubernetes from "@pulumi/kubernetes";
import type { NodeName } from "./nodes.ts";

/** Affinity that binds a pod to one node, for charts and objects that take no nodeSelector. */
export function onNode(node: NodeName): kubernetes.types.input.core.v1.Affinity {
  return {
    nodeAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: {
        nodeSelectorTerms: [
          { matchExpressions: [{ key: "kubernetes.io/hostname", operator: "In", values: [node] }] },
        ],
      },
    },
  };
}
