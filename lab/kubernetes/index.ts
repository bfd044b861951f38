export { type ApplyOptions, KubernetesApi, type KubernetesObject, objectName } from "./api.ts";
export { type ClusterArguments, fieldManagers, LabCluster } from "./cluster.ts";
export { type ControlPlane, type ControlPlaneArguments, startControlPlane } from "./control-plane.ts";
export { installDefinitions } from "./definitions.ts";
export { ControlPlaneError, ControlPlaneUnavailableError, KubernetesApiError } from "./errors.ts";
export { type InstallArguments, installControlPlane, kubernetesVersion } from "./install.ts";
export { type NodeMachine } from "./nodes.ts";
export { placed, podStates, unsettled } from "./pods.ts";
