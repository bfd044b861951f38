/**
 * A client of the Kubernetes API, as far as the lab needs one: server-side apply with strict field validation, reading,
 * deleting. Plain HTTPS: what is sent is what the API sees, and its own words are what an error says.
 */
import { Agent, request } from "node:https";
import { text } from "node:stream/consumers";
import { KubernetesApiError } from "./errors.ts";

export interface KubernetesObject {
  apiVersion: string;
  kind: string;
  metadata: {
    name: string;
    namespace?: string;
    uid?: string;
    labels?: Record<string, string>;
    annotations?: Record<string, string>;
    ownerReferences?: { kind: string; name: string }[];
    [key: string]: unknown;
  };
  [key: string]: unknown;
}

/** How to reach the API: PEM texts and the server's URL. */
export interface ApiAccess {
  server: string;
  authority: string;
  certificate: string;
  key: string;
}

export interface ApplyOptions {
  /** Who owns the fields, as in `metadata.managedFields`. */
  fieldManager: string;
  /** Take fields over from others instead of failing with a conflict. Default false. */
  force?: boolean;
  /** Check only: nothing is stored. Default false. */
  dryRun?: boolean;
  signal?: AbortSignal | undefined;
}

interface Resource {
  /** In the URL. */
  plural: string;
  namespaced: boolean;
}

interface Answer {
  status: number;
  body: unknown;
  /** What the API warns of, such as a deprecated version. */
  warnings: string[];
}

/** Longest single request. */
const requestDeadlineMs = 30_000;

/** `Deployment strategies/strategy-dummy` */
export function objectName({ kind, metadata: { name, namespace } }: KubernetesObject): string {
  return `${kind} ${namespace === undefined ? "" : `${namespace}/`}${name}`;
}

export class KubernetesApi {
  readonly #access: ApiAccess;
  readonly #agent: Agent;
  readonly #resources = new Map<string, Map<string, Resource>>();
  /** Told of each warning of the API, with the object that it is about. */
  onWarning: (object: KubernetesObject, warning: string) => void = () => undefined;

  constructor(access: ApiAccess) {
    this.#access = access;
    const { authority: ca, certificate: cert, key } = access;
    this.#agent = new Agent({ ca, cert, key, keepAlive: true, maxSockets: 32 });
  }

  /** URL of the server. */
  get server(): string {
    return this.#access.server;
  }

  close(): void {
    this.#agent.destroy();
  }

  /**
   * Applies an object server-side: unknown and duplicate fields are refused.
   * @returns the object as stored.
   * @throws KubernetesApiError that names the object, with the API's reason; a conflict names the other manager and field.
   */
  async apply(object: KubernetesObject, options: ApplyOptions): Promise<KubernetesObject> {
    const query = new URLSearchParams({
      fieldManager: options.fieldManager,
      fieldValidation: "Strict",
      force: String(options.force ?? false),
      ...(options.dryRun === true ? { dryRun: "All" } : {}),
    });
    const path = `${await this.#path(object)}?${query.toString()}`;
    const answer = await this.send("PATCH", path, {
      body: object,
      contentType: "application/apply-patch+yaml",
      signal: options.signal,
    });
    for (const warning of answer.warnings) this.onWarning(object, warning);
    return this.#demand(answer, objectName(object)) as KubernetesObject;
  }

  /**
   * Creates an object, which is far cheaper than applying it where it is large. @throws KubernetesApiError, with status 409
   * when it is there already
   */
  async create(object: KubernetesObject, fieldManager: string): Promise<void> {
    const path = (await this.#path(object)).replace(/\/[^/]+$/, "");
    const query = new URLSearchParams({ fieldManager, fieldValidation: "Strict" }).toString();
    this.#demand(await this.send("POST", `${path}?${query}`, { body: object }), objectName(object));
  }

  /** Replaces an object's status by a strategic merge (built-in kinds only). @throws KubernetesApiError */
  async patchStatus(object: KubernetesObject, status: unknown): Promise<void> {
    const builtIn = !object.apiVersion.split("/")[0]?.includes(".") || object.apiVersion.includes(".k8s.io/");
    const contentType = builtIn ? "application/strategic-merge-patch+json" : "application/merge-patch+json";
    const path = `${await this.#path(object)}/status`;
    this.#demand(await this.send("PATCH", path, { body: { status }, contentType }), objectName(object));
  }

  /** @returns the object; undefined when it is not there. @throws KubernetesApiError */
  async get(object: KubernetesObject): Promise<KubernetesObject | undefined> {
    const answer = await this.send("GET", await this.#path(object));
    return answer.status === 404 ? undefined : (this.#demand(answer, objectName(object)) as KubernetesObject);
  }

  /** Every object of a kind. @param namespace default: all. @throws KubernetesApiError */
  async list(apiVersion: string, kind: string, namespace?: string): Promise<KubernetesObject[]> {
    const { plural } = await this.#resource(apiVersion, kind, kind);
    const path = `${groupPath(apiVersion)}${namespace === undefined ? "" : `/namespaces/${namespace}`}/${plural}`;
    const { items } = this.#demand(await this.send("GET", path), `every ${kind}`) as {
      items: KubernetesObject[];
    };
    // A list's items do not say what they are.
    return items.map((item) => ({ ...item, apiVersion, kind }));
  }

  /** Deletes an object at once, with what it owns; it may be gone already. @throws KubernetesApiError */
  async delete(object: KubernetesObject): Promise<void> {
    const body = { propagationPolicy: "Background", gracePeriodSeconds: 0 };
    const answer = await this.send("DELETE", await this.#path(object), { body });
    if (answer.status !== 404) this.#demand(answer, objectName(object));
  }

  /** One request. @throws KubernetesApiError with status 0 when the server cannot be reached. */
  async send(
    method: string,
    path: string,
    options: { body?: unknown; contentType?: string; signal?: AbortSignal | undefined } = {},
  ): Promise<Answer> {
    const { body, contentType = "application/json", signal } = options;
    const deadline = AbortSignal.timeout(requestDeadlineMs);
    const payload = body === undefined ? undefined : JSON.stringify(body);
    try {
      return await new Promise<Answer>((resolve, reject) => {
        const sent = request(
          new URL(path, this.#access.server),
          {
            method,
            agent: this.#agent,
            signal: signal === undefined ? deadline : AbortSignal.any([deadline, signal]),
            headers: {
              accept: "application/json",
              ...(payload === undefined
                ? {}
                : { "content-type": contentType, "content-length": Buffer.byteLength(payload) }),
            },
          },
          (response) => {
            text(response).then((content) => {
              const warnings = [response.headers["warning"] ?? []].flat().flatMap(warningTexts);
              const isJson = response.headers["content-type"]?.includes("json") === true;
              resolve({
                status: response.statusCode ?? 0,
                body: isJson ? (JSON.parse(content) as unknown) : content,
                warnings,
              });
            }, reject);
          },
        );
        sent.once("error", reject);
        sent.end(payload);
      });
    } catch (error) {
      signal?.throwIfAborted();
      throw new KubernetesApiError(`${method} ${path}: ${String(error)}`, 0, "Unreachable");
    }
  }

  #demand({ status, body }: Answer, what: string): unknown {
    if (status >= 200 && status < 300) return body;
    const { message = String(body), reason = "Unknown" } = body as { message?: string; reason?: string };
    throw new KubernetesApiError(`${what}: ${reason} (${status}): ${message}`, status, reason);
  }

  async #path(object: KubernetesObject): Promise<string> {
    const { plural, namespaced } = await this.#resource(object.apiVersion, object.kind, objectName(object));
    const { name, namespace = "default" } = object.metadata;
    const inside = namespaced ? `/namespaces/${namespace}` : "";
    return `${groupPath(object.apiVersion)}${inside}/${plural}/${name}`;
  }

  /** @throws KubernetesApiError with status 0 when the API does not know the kind: its definition is missing. */
  async #resource(apiVersion: string, kind: string, what: string): Promise<Resource> {
    const known = this.#resources.get(apiVersion)?.get(kind);
    if (known !== undefined) return known;
    const { status, body } = await this.send("GET", groupPath(apiVersion));
    const { resources = [] } = (status === 200 ? body : {}) as {
      resources?: { name: string; kind: string; namespaced: boolean }[];
    };
    const kinds = new Map(
      resources
        .filter(({ name }) => !name.includes("/"))
        .map(({ name, kind: its, namespaced }) => [its, { plural: name, namespaced }]),
    );
    this.#resources.set(apiVersion, kinds);
    const found = kinds.get(kind);
    if (found !== undefined) return found;
    throw new KubernetesApiError(
      `${what}: the API server knows no kind ${kind} in ${apiVersion}. Is its custom resource definition applied and ` +
        "established, and of this version?",
      0,
      "NoKindMatch",
    );
  }
}

function groupPath(apiVersion: string): string {
  return apiVersion.includes("/") ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
}

/** `299 - "text"` as `text`. */
function warningTexts(header: string): string[] {
  return [...header.matchAll(/299 \S+ "((?:[^"\\]|\\.)*)"/g)].map((match) =>
    (match[1] ?? "").replaceAll('\\"', '"'),
  );
}
