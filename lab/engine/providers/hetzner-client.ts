/**
 * HTTP client of the Hetzner Cloud API, with the retries and the polling of the real Pulumi provider: 5 retries
 * from 1 s doubling with jitter, for `conflict`, `locked`, `rate_limit_exceeded`, 502, 504 and (where a repeat is
 * harmless) timeouts; a refused connection fails at once. Actions are polled at `GET /actions?id=`.
 */
import { z } from "zod";
import { type EngineClock, realClock } from "../clock.ts";
import { parseDuration } from "../duration.ts";
import { messageOf, ProviderError } from "../errors.ts";

/** An answer of the API that says no. `code` is the API's own, for example `resource_unavailable`. */
export class HetznerApiError extends ProviderError {
  readonly status: number;

  constructor(status: number, code: string, message: string) {
    super(code, message);
    this.status = status;
  }
}

/** The endpoint cannot be reached, or what answers there is not the API. */
export class HetznerUnreachableError extends ProviderError {
  constructor(message: string) {
    super("hetzner-unreachable", message);
  }
}

const errorSchema = z.object({
  error: z.object({
    code: z.string(),
    message: z.string(),
    details: z
      .object({
        fields: z.array(z.object({ name: z.string(), messages: z.array(z.string()).default([]) })).optional(),
      })
      .loose()
      .nullish(),
  }),
});

const actionSchema = z
  .object({
    id: z.number(),
    command: z.string().optional(),
    status: z.enum(["running", "success", "error"]),
    error: z.object({ code: z.string(), message: z.string() }).nullish(),
  })
  .loose();
export type Action = z.infer<typeof actionSchema>;

const tryAgain = "Hetzner's side failed: run it again; what was done until now is kept.";

/** What the user can do about an error, by its code. */
const advice: Record<string, string> = {
  unauthorized: "Check the token.",
  forbidden: "The token may only read; use one with read and write rights.",
  resource_unavailable: "No stock there now: try another server type or location.",
  resource_limit_exceeded: "The account's limit is reached: delete something or ask Hetzner for more.",
  placement_error:
    "There is no host left that keeps the servers apart: run it again later, or try another location.",
  uniqueness_error:
    "Something of this name is there already, perhaps from a killed run: delete it or take another name.",
  rate_limit_exceeded: "Wait for the hourly limit to recover.",
  conflict: "Something else changes it at the same time: run it again when that has ended.",
  locked: "Another action still runs on it: run it again when that has ended.",
  service_error: tryAgain,
  server_error: tryAgain,
  timeout: tryAgain,
  maintenance: "Hetzner maintains this service now: run it again later (https://status.hetzner.com).",
};

const retriedCodes: ReadonlySet<string> = new Set(["conflict", "locked", "rate_limit_exceeded"]);
const retriedStatuses: ReadonlySet<number> = new Set([502, 504]);
const retries = 5;
const retryBaseMs = 1_000;
const requestTimeoutMs = 30_000;
const perPage = 50;

type Method = "GET" | "POST" | "PUT" | "DELETE";

export interface ClientOptions {
  /** With the version, without a slash at the end: `https://api.hetzner.cloud/v1`. */
  endpoint: string;
  token: string;
  /** Default 500 ms. */
  pollIntervalMs: number;
  /** `exponential` doubles the interval each time, as the real provider's default does. */
  pollFunction: "constant" | "exponential";
  /** Default: real time. */
  clock?: EngineClock;
  /** First pause before a retry; only tests change it. */
  retryBaseMs?: number;
}

/** When the rate limit has recovered, as the answer's headers say (epoch seconds). */
function recovery(headers: Headers): string[] {
  const limit = headers.get("ratelimit-limit");
  const reset = Number(headers.get("ratelimit-reset") ?? Number.NaN);
  if (limit === null || !Number.isFinite(reset)) return [];
  const at = new Date(reset * 1_000).toISOString();
  return [`${limit} requests an hour, given back evenly; all of them are back at ${at}.`];
}

export class HetznerClient {
  readonly #options: ClientOptions;
  readonly #clock: EngineClock;

  constructor(options: ClientOptions) {
    this.#options = options;
    this.#clock = options.clock ?? realClock;
  }

  /**
   * One request, retried as described above.
   * @param route path below the endpoint, with its query
   * @returns the JSON body, `{}` when there is none
   * @throws HetznerApiError, HetznerUnreachableError, or the signal's reason
   */
  async request(
    method: Method,
    route: string,
    signal: AbortSignal,
    body?: unknown,
  ): Promise<Record<string, unknown>> {
    for (let attempt = 0; ; attempt += 1) {
      signal.throwIfAborted();
      const outcome = await this.#once(method, route, signal, body);
      if ("body" in outcome) return outcome.body;
      if (!outcome.again || attempt >= retries) throw outcome.error;
      const base = this.#options.retryBaseMs ?? retryBaseMs;
      await this.pause(base * 2 ** attempt * (0.5 + Math.random() / 2), signal);
    }
  }

  async #once(
    method: Method,
    route: string,
    signal: AbortSignal,
    body: unknown,
  ): Promise<{ body: Record<string, unknown> } | { error: Error; again: boolean }> {
    const { endpoint, token } = this.#options;
    let response: Response;
    let text: string;
    try {
      response = await fetch(endpoint + route, {
        method,
        headers: {
          authorization: `Bearer ${token}`,
          ...(body === undefined ? {} : { "content-type": "application/json" }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: AbortSignal.any([signal, AbortSignal.timeout(requestTimeoutMs)]),
      });
      text = await response.text();
    } catch (error) {
      signal.throwIfAborted();
      const timedOut = error instanceof Error && error.name === "TimeoutError";
      const cause =
        error instanceof Error && error.cause !== undefined ? messageOf(error.cause) : messageOf(error);
      const message = `${method} ${endpoint}${route}: ${timedOut ? `no answer in ${requestTimeoutMs / 1_000} s` : cause}`;
      // Whether a POST that got no answer was carried out is not known: no ProviderError, so it is looked up later.
      const unknown = method === "POST" && !/ECONNREFUSED/.test(cause);
      return {
        error: unknown
          ? new Error(
              `${message}\nWhether it was carried out is not known: the next up, or destroy, looks for it by name.`,
            )
          : new HetznerUnreachableError(
              `${message}\nRun it again when the API can be reached; what was done until now is kept.`,
            ),
        again: timedOut && method !== "POST",
      };
    }
    if (response.ok) return { body: text === "" ? {} : (JSON.parse(text) as Record<string, unknown>) };
    return this.#refusal(method, route, response, text);
  }

  #refusal(
    method: Method,
    route: string,
    { status, headers }: Response,
    text: string,
  ): { error: Error; again: boolean } {
    let parsed: z.infer<typeof errorSchema> | undefined;
    try {
      parsed = errorSchema.parse(JSON.parse(text));
    } catch {
      const message = `${method} ${route}: status ${status} without the API's error body\n${tryAgain}`;
      return {
        error: new HetznerApiError(status, `http-${status}`, message),
        again: retriedStatuses.has(status),
      };
    }
    const { code, message, details } = parsed.error;
    const fields = (details?.fields ?? []).map(({ name, messages }) =>
      messages.length === 0 ? `field ${name}` : `${name}: ${messages.join(", ")}`,
    );
    const parts = [
      `${method} ${route}: ${message} (${code})`,
      ...fields,
      ...(advice[code] === undefined ? [] : [advice[code]]),
      ...(code === "rate_limit_exceeded" ? recovery(headers) : []),
    ];
    return {
      error: new HetznerApiError(status, code, parts.join("\n")),
      again: retriedCodes.has(code) || retriedStatuses.has(status),
    };
  }

  /** Waits by the client's clock. @throws the signal's reason */
  async pause(milliseconds: number, signal: AbortSignal): Promise<void> {
    await this.#clock.pause(milliseconds, signal);
    signal.throwIfAborted();
  }

  /** As `request`, but 404 gives undefined. */
  async find(
    method: "GET" | "DELETE",
    route: string,
    signal: AbortSignal,
  ): Promise<Record<string, unknown> | undefined> {
    try {
      return await this.request(method, route, signal);
    } catch (error) {
      if (error instanceof HetznerApiError && error.status === 404) return undefined;
      throw error;
    }
  }

  /**
   * All pages of a list.
   * @param collection path and name in the body, for example `server_types`
   */
  async list(
    collection: string,
    query: Record<string, string>,
    signal: AbortSignal,
  ): Promise<Record<string, unknown>[]> {
    const all: Record<string, unknown>[] = [];
    for (let page: number | null = 1; page !== null;) {
      const parameters = new URLSearchParams({ ...query, page: String(page), per_page: String(perPage) });
      const body = await this.request("GET", `/${collection}?${parameters.toString()}`, signal);
      all.push(...((body[collection] as Record<string, unknown>[] | undefined) ?? []));
      const meta = body["meta"] as { pagination?: { next_page?: number | null } } | undefined;
      page = meta?.pagination?.next_page ?? null;
    }
    return all;
  }

  /**
   * Waits until actions have ended well.
   * @param actions as answers carry them; null and undefined are skipped
   * @throws HetznerApiError with the action's error
   */
  async wait(actions: readonly unknown[], signal: AbortSignal): Promise<void> {
    let running = actions
      .filter((action) => action !== null && action !== undefined)
      .map((action) => actionSchema.parse(action));
    const { pollIntervalMs, pollFunction } = this.#options;
    for (let round = 0; ; round += 1) {
      for (const action of running) {
        if (action.status !== "error") continue;
        const { code, message } = action.error ?? { code: "action_failed", message: "no reason given" };
        throw new HetznerApiError(
          200,
          code,
          `action ${action.command ?? action.id} failed: ${message} (${code})`,
        );
      }
      running = running.filter(({ status }) => status === "running");
      if (running.length === 0) return;
      await this.pause(pollFunction === "constant" ? pollIntervalMs : pollIntervalMs * 2 ** round, signal);
      // Up to 25 ids a call, as the real provider does.
      const polled = running.slice(0, 25);
      const query = [...polled.map(({ id }) => `id=${id}`), "page=1", "sort=status", "sort=id"].join("&");
      const body = await this.request("GET", `/actions?${query}`, signal);
      const answers = z.array(actionSchema).parse(body["actions"]);
      running = [
        ...polled.map((action) => {
          const answer = answers.find(({ id }) => id === action.id);
          if (answer === undefined) {
            throw new HetznerApiError(404, "not_found", `the API no longer knows action ${action.id}`);
          }
          return answer;
        }),
        ...running.slice(25),
      ];
    }
  }
}

/** Strict configuration of the hcloud provider. */
export const configurationSchema = z.strictObject({
  // The real provider refuses any other length too.
  token: z.string().length(64, "a Hetzner token has exactly 64 characters"),
  endpoint: z.url().default("https://api.hetzner.cloud/v1"),
  endpointHetzner: z.string().optional(),
  pollInterval: z
    .string()
    .default("500ms")
    .refine((text) => {
      try {
        return parseDuration(text) > 0;
      } catch {
        return false;
      }
    }, "expected a duration such as 500ms or 1s"),
  pollFunction: z.enum(["constant", "exponential"]).default("exponential"),
});
