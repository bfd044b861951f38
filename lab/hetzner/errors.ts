/** The API's errors: `{"error": {"code", "message", "details"}}`, and the errors of starting the simulator. */

/**
 * HTTP status of every error code that the simulator answers with. Clients decide by the code.
 * Codes: https://docs.hetzner.cloud/reference/cloud#errors; where the document names no status, the one given here is the simulator's choice.
 */
const statusOf = {
  json_error: 400,
  unauthorized: 401,
  forbidden: 403,
  protected: 403,
  resource_limit_exceeded: 403,
  not_found: 404,
  method_not_allowed: 405,
  uniqueness_error: 409,
  conflict: 409,
  deprecated_api_endpoint: 410,
  resource_unavailable: 412,
  placement_error: 412,
  invalid_input: 422,
  unsupported_error: 422,
  resource_in_use: 422,
  server_already_attached: 422,
  server_already_added: 422,
  server_not_stopped: 422,
  server_has_ipv4: 422,
  server_has_ipv6: 422,
  ip_not_available: 422,
  no_subnet_available: 422,
  networks_overlap: 422,
  must_be_unassigned: 422,
  primary_ip_assigned: 422,
  primary_ip_already_assigned: 422,
  primary_ip_version_mismatch: 422,
  // Still named so, though it is about locations since datacenters are gone: hcloud-go knows this name only.
  primary_ip_datacenter_mismatch: 422,
  firewall_resource_not_found: 404,
  firewall_already_applied: 422,
  firewall_managed_by_label_selector: 422,
  private_net_only_server: 422,
  locked: 423,
  rate_limit_exceeded: 429,
  server_error: 500,
  action_failed: 500,
  bad_gateway: 502,
  service_error: 503,
  maintenance: 503,
  timeout: 504,
} as const;

export type ErrorCode = keyof typeof statusOf;

/** Every code that the simulator may answer with. */
export const errorCodes = Object.keys(statusOf) as [ErrorCode, ...ErrorCode[]];

/** One field of a request and what is wrong with it. */
export interface FieldError {
  name: string;
  messages: string[];
}

/** A refusal, as the API words it. Thrown by a request it becomes the answer; thrown by an action, the action's error. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly code: ErrorCode;
  readonly details: Record<string, unknown> | null;

  constructor(code: ErrorCode, message: string, details: Record<string, unknown> | null = null) {
    super(message);
    this.code = code;
    this.details = details;
  }

  get status(): (typeof statusOf)[ErrorCode] {
    return statusOf[this.code];
  }

  get body(): { error: { code: ErrorCode; message: string; details: Record<string, unknown> | null } } {
    return { error: { code: this.code, message: this.message, details: this.details } };
  }
}

/** `invalid_input` that names every wrong field at once. */
export function invalidInput(...fields: FieldError[]): ApiError {
  const names = fields.map((field) => `'${field.name}'`).join(", ");
  const reasons = fields.flatMap((field) => field.messages).join("; ");
  return new ApiError("invalid_input", `invalid input in field ${names}: ${reasons}`, { fields });
}

/** `invalid_input` about one field. */
export function invalidField(name: string, message: string): ApiError {
  return invalidInput({ name, messages: [message] });
}

/** `uniqueness_error`: another resource of the project already has this value. */
export function notUnique(field: string, kind: string): ApiError {
  return new ApiError("uniqueness_error", `${kind} ${field} is already used`, { fields: [{ name: field }] });
}

/** `not_found` of one resource. */
export function notFound(kind: string, id: number | string): ApiError {
  return new ApiError("not_found", `${kind} with ID '${id}' not found`);
}

/** The simulator could not be started: a port is in use, or an option is wrong. */
export class HetznerStartError extends Error {
  override readonly name = "HetznerStartError";
}
