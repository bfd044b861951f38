/** What can go wrong with the Hetzner Cloud API, typed. */

/** The API refused, or did not answer until the deadline. */
export class HetznerApiError extends Error {
  override readonly name = "HetznerApiError";
  /** HTTP status; 0 when there was no answer at all. */
  readonly status: number;
  /** The API's error code (https://docs.hetzner.cloud/reference/cloud#errors), `http_<status>` or `no_answer`. */
  readonly code: string;
  /** Method and path, for example `DELETE /servers/42`. */
  readonly request: string;

  constructor(request: string, status: number, code: string, reason: string, attempts = 1) {
    const tries = attempts === 1 ? "" : ` (after ${attempts} attempts)`;
    super(`Hetzner API: ${request}: ${code}: ${reason}${tries}${adviceFor(code)}`);
    this.status = status;
    this.code = code;
    this.request = request;
  }
}

/** What the one in front of the message can do about it. */
function adviceFor(code: string): string {
  switch (code) {
    case "unauthorized":
    case "forbidden":
      return "\nHCLOUD_TOKEN must be a read and write API token of this Hetzner Cloud project.";
    case "rate_limit_exceeded":
      return "\nThe project's requests of this hour are used up; they come back at about one a second.";
    case "no_answer":
      return "\nCheck the connection, and HCLOUD_ENDPOINT or trading:hcloudEndpoint if one is set.";
    default:
      return "";
  }
}

/** An asynchronous action ended in error, or not until the deadline. */
export class HetznerActionError extends Error {
  override readonly name = "HetznerActionError";
  readonly actionId: number;
  /** For example `delete_server`. */
  readonly command: string;
  /** The action's own error code; `timeout` when it did not end. */
  readonly code: string;

  constructor(
    action: { id: number; command: string; resources: readonly { id: number; type: string }[] },
    code: string,
    reason: string,
  ) {
    const about = action.resources.map(({ type, id }) => `${type} ${id}`).join(", ");
    super(`Hetzner API: action ${action.id} (${action.command} of ${about}): ${code}: ${reason}`);
    this.actionId = action.id;
    this.command = action.command;
    this.code = code;
  }
}
