/** The control plane's tools cannot be had on this machine: no Go, or nothing can be downloaded. A check is skipped then. */
export class ControlPlaneUnavailableError extends Error {
  override readonly name = "ControlPlaneUnavailableError";
}

/** The control plane was built and does not do what it should: it does not start, or ended by itself. */
export class ControlPlaneError extends Error {
  override readonly name = "ControlPlaneError";
}

/** The Kubernetes API refused a request. */
export class KubernetesApiError extends Error {
  override readonly name = "KubernetesApiError";
  /** HTTP status: 409 for a conflict, 422 for an invalid object, 0 when the API does not know the kind. */
  readonly status: number;
  /** The API's word for it: `Conflict`, `Invalid`, `Forbidden`, `NotFound`, `BadRequest`. */
  readonly reason: string;

  constructor(message: string, status: number, reason: string) {
    super(message);
    this.status = status;
    this.reason = reason;
  }
}
