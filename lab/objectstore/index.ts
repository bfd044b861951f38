/** The lab's S3 server. */
export { ObjectStoreInstallError, ObjectStorePortInUseError, ObjectStoreStartError } from "./errors.ts";
export { installObjectStore, seaweedVersion } from "./install.ts";
export { type LabObjectStore, type ObjectStoreArguments, startObjectStore } from "./start.ts";
export {
  type AddedFault,
  type FaultKind,
  type FaultScope,
  type FaultyObjectStore,
  type SeenRequest,
  startFaults,
} from "./faults.ts";
