/** A workload of the stack cannot be run as rendered, or does not become ready; the message names it and why. */
export class WorkloadError extends Error {
  override readonly name = "WorkloadError";
}
