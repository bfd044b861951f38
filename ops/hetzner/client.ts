/**
 * The Hetzner Cloud API, as far as the commands around the trading day need it: look, remove, change rules. It creates
 * nothing, so every request of it may be repeated: what must be tried again is tried again here, and nowhere else.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { HetznerActionError, HetznerApiError } from "./errors.ts";
import {
  type Action,
  actionSchema,
  type Location,
  locationSchema,
  type NewFirewallRule,
  type Pricing,
  pricingSchema,
  type Resource,
  type ResourceKind,
  resourceSchemas,
  type ServerType,
  serverTypeSchema,
} from "./resources.ts";

/** How patient a client is; all in real ms. */
export interface HetznerPatience {
  /** For one answer. Default: 30,000. */
  requestTimeoutMs: number;
  /** Before the first repetition; each later wait is twice as long. Default: 500. */
  firstDelayMs: number;
  /** The longest wait between two attempts. Default: 10,000. */
  maxDelayMs: number;
  /** From a request's first attempt until it is given up. Default: 120,000. */
  retryDeadlineMs: number;
  /** Between two looks at running actions. Default: 500. */
  pollMs: number;
  /** Until actions that still run are given up. Default: 300,000. */
  actionDeadlineMs: number;
}

const defaultPatience: HetznerPatience = {
  requestTimeoutMs: 30_000,
  firstDelayMs: 500,
  maxDelayMs: 10_000,
  retryDeadlineMs: 120_000,
  pollMs: 500,
  actionDeadlineMs: 300_000,
};

export interface HetznerClientArguments {
  /** With `/v1`, for example `https://api.hetzner.cloud/v1`. */
  endpoint: string;
  /** Read and write API token of the project. */
  token: string;
  /** Ends requests and waits; they then reject with the signal's reason. Default: never. */
  signal?: AbortSignal | undefined;
  /** What differs from the defaults of {@link HetznerPatience}. */
  patience?: Partial<HetznerPatience> | undefined;
  /** Told before each repetition what did not work, so that a wait of minutes is no silence. */
  report?: ((line: string) => void) | undefined;
}

/** What a list is narrowed to. */
export interface ListFilter {
  /** For example `project=trading,stack=dev`: https://docs.hetzner.cloud/reference/cloud#label-selector */
  labelSelector?: string;
  /** Exactly this name. */
  name?: string;
}

export interface ActOptions {
  /** Whether what passes by itself is tried again; false where the body may be out of date by then. Default: true. */
  retry?: boolean;
}

export interface RemoveOptions {
  /**
   * How long (ms) `resource_in_use` is tried again: a firewall counts as applied for a moment after its server is gone.
   * Default: 30,000.
   */
  whileInUseMs?: number;
}

/** Codes that pass by themselves: https://docs.hetzner.cloud/reference/cloud#errors. So does every status from 500. */
const passing: readonly string[] = ["rate_limit_exceeded", "conflict", "locked", "no_answer"];

/** The API answers at most so many rows a page. */
const rowsPerPage = 50;
/** As the official clients ask. */
const actionsPerLook = 25;

/** Whether the same request may succeed a little later. */
export function passesByItself({ code, status }: HetznerApiError): boolean {
  return passing.includes(code) || status >= 500;
}

const errorBody = z.object({ error: z.object({ code: z.string(), message: z.string() }) });
const pageBody = z.object({
  meta: z.object({ pagination: z.object({ next_page: z.number().nullable() }) }),
});
const actionsBody = z.object({
  action: actionSchema.nullish(),
  actions: z.array(actionSchema).nullish(),
});

type Method = "GET" | "POST" | "DELETE";
type Query = readonly (readonly [string, string | number])[];

/** A client of one project. */
export class HetznerClient {
  readonly #endpoint: string;
  readonly #token: string;
  readonly #signal: AbortSignal | undefined;
  readonly #patience: HetznerPatience;
  readonly #report: (line: string) => void;

  constructor({ endpoint, token, signal, patience, report = () => undefined }: HetznerClientArguments) {
    this.#endpoint = endpoint.replace(/\/+$/, "");
    this.#token = token;
    this.#signal = signal;
    this.#patience = { ...defaultPatience, ...patience };
    this.#report = report;
  }

  /** The same client, whose requests end with another signal. */
  endingWith(signal: AbortSignal): HetznerClient {
    const [endpoint, token, patience, report] = [this.#endpoint, this.#token, this.#patience, this.#report];
    return new HetznerClient({ endpoint, token, signal, patience, report });
  }

  /** All resources of a kind, every page of them, by ascending id. @throws HetznerApiError */
  async list<Kind extends ResourceKind>(kind: Kind, filter: ListFilter = {}): Promise<Resource<Kind>[]> {
    const { labelSelector, name } = filter;
    const query: Query = [
      ["sort", "id"],
      ...(labelSelector === undefined ? [] : [["label_selector", labelSelector] as const]),
      ...(name === undefined ? [] : [["name", name] as const]),
    ];
    // TypeScript does not follow that the schema of this kind reads its rows.
    const schema = resourceSchemas[kind] as unknown as z.ZodType<Resource<Kind>>;
    return this.#pages(kind, schema, query);
  }

  /** One resource; undefined when there is none with this id. @throws HetznerApiError */
  async get<Kind extends ResourceKind>(kind: Kind, id: number): Promise<Resource<Kind> | undefined> {
    const key = kind.replace(/s$/, "");
    const body = await this.#unlessGone(() =>
      this.#request("GET", `/${kind}/${id}`, z.object({ [key]: resourceSchemas[kind] })),
    );
    return body?.[key] as Resource<Kind> | undefined;
  }

  /**
   * Removes a resource and waits until it is gone. What is gone already is no error.
   * @returns whether it was there
   * @throws HetznerApiError when it is protected or still in use; HetznerActionError when its removal fails
   */
  async remove(kind: ResourceKind, id: number, options: RemoveOptions = {}): Promise<boolean> {
    const { whileInUseMs = 30_000 } = options;
    const until = performance.now() + whileInUseMs;
    for (let attempt = 1; ; attempt += 1) {
      try {
        const removed = await this.#unlessGone(() => this.#request("DELETE", `/${kind}/${id}`, actionsBody));
        if (removed === undefined) return false;
        await this.waitFor(actionsOf(removed));
        return true;
      } catch (error) {
        const inUse = error instanceof HetznerApiError && error.code === "resource_in_use";
        if (!inUse || performance.now() >= until) throw error;
        await this.#pause(attempt);
      }
    }
  }

  /**
   * `POST /<kind>/<id>/actions/<command>`, and waits for what it starts.
   * @param body only what may be repeated: an answer that got lost means that it is sent again
   * @throws HetznerApiError; HetznerActionError
   */
  async act(
    kind: ResourceKind,
    id: number,
    command: string,
    body: object = {},
    options: ActOptions = {},
  ): Promise<void> {
    const path = `/${kind}/${id}/actions/${command}`;
    const started = await this.#request("POST", path, actionsBody, body, options.retry);
    await this.waitFor(actionsOf(started));
  }

  /** Replaces all rules of a firewall and waits until they hold. @throws HetznerApiError; HetznerActionError */
  async setFirewallRules(
    id: number,
    rules: readonly NewFirewallRule[],
    options: ActOptions = {},
  ): Promise<void> {
    await this.act("firewalls", id, "set_rules", { rules }, options);
  }

  /**
   * Waits until actions have ended, all of them, also when one fails.
   * @throws HetznerActionError of the first that failed, or of one that did not end in time; HetznerApiError
   */
  async waitFor(actions: readonly Action[]): Promise<void> {
    const until = performance.now() + this.#patience.actionDeadlineMs;
    let failed = actions.find(({ status }) => status === "error");
    let running = actions.filter(({ status }) => status === "running");
    while (running.length > 0) {
      await sleep(this.#patience.pollMs, undefined, { signal: this.#signal }).catch(() =>
        this.#signal?.throwIfAborted(),
      );
      const known = new Map<number, Action>();
      for (let from = 0; from < running.length; from += actionsPerLook) {
        const asked = running.slice(from, from + actionsPerLook);
        const found = await this.#pages(
          "actions",
          actionSchema,
          asked.map(({ id }) => ["id", id] as const),
        );
        for (const action of found) known.set(action.id, action);
      }
      const looked = running.map((action) => {
        const now = known.get(action.id);
        if (now === undefined) throw new HetznerActionError(action, "not_found", "the API does not know it");
        return now;
      });
      failed ??= looked.find(({ status }) => status === "error");
      running = looked.filter(({ status }) => status === "running");
      const [late] = running;
      if (late !== undefined && performance.now() > until) {
        const seconds = Math.round(this.#patience.actionDeadlineMs / 1_000);
        throw new HetznerActionError(late, "timeout", `still running after ${seconds} s`);
      }
    }
    if (failed !== undefined) {
      const { code, message } = failed.error ?? { code: "unknown", message: "the API gives no reason" };
      throw new HetznerActionError(failed, code, message);
    }
  }

  /** Every server type with its offers and prices by location. @throws HetznerApiError */
  serverTypes(): Promise<ServerType[]> {
    return this.#pages("server_types", serverTypeSchema, []);
  }

  /** Every location. @throws HetznerApiError */
  locations(): Promise<Location[]> {
    return this.#pages("locations", locationSchema, []);
  }

  /** Prices of what is not a server. @throws HetznerApiError */
  async pricing(): Promise<Pricing> {
    const { pricing } = await this.#request("GET", "/pricing", z.object({ pricing: pricingSchema }));
    return pricing;
  }

  async #pages<Row extends { id: number }>(
    key: string,
    schema: z.ZodType<Row>,
    query: Query,
  ): Promise<Row[]> {
    // By id, because a row moves to another page when one before it goes.
    const rows = new Map<number, Row>();
    for (let page: number | null = 1; page !== null;) {
      const parameters = new URLSearchParams({ page: String(page), per_page: String(rowsPerPage) });
      for (const [name, value] of query) parameters.append(name, String(value));
      const text = parameters.toString();
      const body = z.object({ ...pageBody.shape, [key]: z.array(schema) });
      const answer: Record<string, unknown> = await this.#request("GET", `/${key}?${text}`, body);
      for (const row of answer[key] as Row[]) rows.set(row.id, row);
      page = (answer as z.infer<typeof pageBody>).meta.pagination.next_page;
    }
    return [...rows.values()];
  }

  async #unlessGone<T>(request: () => Promise<T>): Promise<T | undefined> {
    try {
      return await request();
    } catch (error) {
      if (error instanceof HetznerApiError && error.code === "not_found") return undefined;
      throw error;
    }
  }

  /** One request, repeated while what refuses it passes by itself. */
  async #request<T>(
    method: Method,
    path: string,
    schema: z.ZodType<T>,
    body?: object,
    retry = true,
  ): Promise<T> {
    const until = performance.now() + this.#patience.retryDeadlineMs;
    for (let attempt = 1; ; attempt += 1) {
      this.#signal?.throwIfAborted();
      const answer = await this.#send(method, path, schema, body, attempt);
      if (!(answer instanceof HetznerApiError)) return answer;
      if (!retry || !passesByItself(answer) || performance.now() >= until) throw answer;
      const seconds = Math.ceil((until - performance.now()) / 1_000);
      const [problem] = answer.message.split("\n", 1);
      this.#report(`${problem}; trying again for ${seconds} s at most`);
      await this.#pause(attempt);
    }
  }

  /** One attempt. @returns what was answered, or why not */
  async #send<T>(
    method: Method,
    path: string,
    schema: z.ZodType<T>,
    body: object | undefined,
    attempt: number,
  ): Promise<T | HetznerApiError> {
    const [plain = path] = path.split("?", 1);
    const failure = (status: number, code: string, reason: string) =>
      new HetznerApiError(`${method} ${plain}`, status, code, reason, attempt);
    const timeout = AbortSignal.timeout(this.#patience.requestTimeoutMs);
    let response: Response;
    let text: string;
    try {
      response = await fetch(this.#endpoint + path, {
        method,
        redirect: "error",
        headers: { authorization: `Bearer ${this.#token}`, "content-type": "application/json" },
        signal: this.#signal === undefined ? timeout : AbortSignal.any([this.#signal, timeout]),
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      text = await response.text();
    } catch (error) {
      this.#signal?.throwIfAborted();
      return failure(0, "no_answer", reasonOf(error));
    }
    const parsed = parse(text);
    if (!response.ok) {
      const known = errorBody.safeParse(parsed).data?.error;
      return failure(
        response.status,
        known?.code ?? `http_${response.status}`,
        known?.message ?? response.statusText,
      );
    }
    const read = schema.safeParse(parsed);
    if (read.success) return read.data;
    const mistakes = read.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`);
    return failure(response.status, "unexpected_answer", mistakes.join("; "));
  }

  /** Waits before the next attempt: twice as long each time, and half of it by chance, so that many do not meet again. */
  async #pause(attempt: number): Promise<void> {
    const { firstDelayMs, maxDelayMs } = this.#patience;
    const most = Math.min(maxDelayMs, firstDelayMs * 2 ** (attempt - 1));
    await sleep(most * (0.5 + Math.random() / 2), undefined, { signal: this.#signal }).catch(() =>
      this.#signal?.throwIfAborted(),
    );
  }
}

function actionsOf({ action, actions }: z.infer<typeof actionsBody>): Action[] {
  return [...(action == null ? [] : [action]), ...(actions ?? [])];
}

/** An empty body is an empty object: deletions answer with nothing. */
function parse(text: string): unknown {
  try {
    return text === "" ? {} : JSON.parse(text);
  } catch {
    return undefined;
  }
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === "TimeoutError") return "no answer in time";
  const { cause } = error;
  return cause instanceof Error ? `${error.message}: ${cause.message}` : error.message;
}
