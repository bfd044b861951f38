/**
 * Logs of pods and the events of namespaces, from the Kubernetes API inside the cluster. What the service account needs:
 * `list` of pods and events, `get` of pods/log, in each namespace, and nothing else.
 * https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#get-read-log-of-the-specified-pod
 */
import { readFile } from "node:fs/promises";
import type { IncomingMessage } from "node:http";
import { z } from "zod";
import { mapConcurrently } from "../concurrency.ts";
import { ArchiveStoreError } from "../store.ts";
import type { EvidenceSource } from "./collect.ts";
import { get, readBody } from "./http.ts";
import { type EvidenceOutput } from "./output.ts";

/** How the API is reached. */
export interface KubernetesSettings {
  /** `https://kubernetes.default.svc` */
  url: string;
  /** Files that Kubernetes mounts; read anew for each request, since tokens are replaced while the pod runs. */
  tokenFile: string;
  caFile: string;
  namespaces: readonly string[];
}

/** Logs read at the same time. */
const concurrency = 4;
/** Objects in one page of a list, and the longest page. */
const pageSize = 100;
const pageBytes = 32 * 1024 * 1024;

const container = z.object({ name: z.string() });
const status = z.object({ name: z.string(), restartCount: z.number() });
const pods = z.object({
  metadata: z.object({ continue: z.string().optional() }),
  items: z.array(
    z.object({
      metadata: z.object({ name: z.string() }),
      spec: z.object({
        initContainers: z.array(container).default([]),
        containers: z.array(container),
        ephemeralContainers: z.array(container).default([]),
      }),
      status: z
        .object({
          initContainerStatuses: z.array(status).default([]),
          containerStatuses: z.array(status).default([]),
          ephemeralContainerStatuses: z.array(status).default([]),
        })
        .prefault({}),
    }),
  ),
});
const events = z.object({
  metadata: z.object({ continue: z.string().optional() }),
  items: z.array(z.looseObject({})),
});

/** One log to be read. */
interface Log {
  namespace: string;
  pod: string;
  container: string;
  /** Of the container's life before this one. */
  previous: boolean;
}

/** See the module's description. */
export class KubernetesEvidence implements EvidenceSource {
  readonly name = "kubernetes";
  readonly #settings: KubernetesSettings;

  constructor(settings: KubernetesSettings) {
    this.#settings = settings;
  }

  async collect(output: EvidenceOutput, _period: unknown, signal: AbortSignal): Promise<void> {
    const { namespaces } = this.#settings;
    const logs = await Promise.all(namespaces.map((namespace) => this.#logsOf(namespace, output, signal)));
    const noted = <T>(what: string, work: Promise<T>): Promise<T | undefined> =>
      note(output, signal, what, work);
    await Promise.all([
      ...namespaces.map((namespace) =>
        noted(`events of ${namespace}`, this.#events(namespace, output, signal)),
      ),
      mapConcurrently(logs.flat(), concurrency, (log) => {
        const life = log.previous ? ", the life before" : "";
        return noted(
          `log of ${log.namespace}/${log.pod}/${log.container}${life}`,
          this.#log(log, output, signal),
        );
      }),
    ]);
  }

  async #logsOf(namespace: string, output: EvidenceOutput, signal: AbortSignal): Promise<Log[]> {
    const logs: Log[] = [];
    const list = async (): Promise<void> => {
      for await (const { metadata, spec, status } of this.#list(`${namespace}/pods`, pods, signal)) {
        const statuses = [
          ...status.initContainerStatuses,
          ...status.containerStatuses,
          ...status.ephemeralContainerStatuses,
        ];
        for (const { name } of [...spec.initContainers, ...spec.containers, ...spec.ephemeralContainers]) {
          const log = { namespace, pod: metadata.name, container: name };
          logs.push({ ...log, previous: false });
          const restarts = statuses.find((each) => each.name === name)?.restartCount ?? 0;
          if (restarts > 0) logs.push({ ...log, previous: true });
        }
      }
    };
    await note(output, signal, `pods of ${namespace}`, list());
    return logs;
  }

  async #log({ namespace, pod, container, previous }: Log, output: EvidenceOutput, signal: AbortSignal) {
    const query = { container, timestamps: "true", ...(previous ? { previous: "true" } : {}) };
    const response = await this.#get(`${namespace}/pods/${pod}/log`, query, signal);
    const file = output.file(`${namespace}/${pod}/${container}${previous ? ".previous" : ""}`, "log");
    try {
      for await (const chunk of response as AsyncIterable<Buffer>) {
        await file.write(chunk);
        if (file.isFull) break;
      }
    } finally {
      await file.end();
    }
  }

  async #events(namespace: string, output: EvidenceOutput, signal: AbortSignal): Promise<void> {
    const file = output.file(`${namespace}/events`, "ndjson");
    try {
      for await (const event of this.#list(`${namespace}/events`, events, signal)) {
        await file.write(`${JSON.stringify(event)}\n`);
      }
    } finally {
      await file.end();
    }
  }

  /** All items of a list, page by page. */
  async *#list<Item>(
    path: string,
    schema: z.ZodType<{ metadata: { continue?: string | undefined }; items: Item[] }>,
    signal: AbortSignal,
  ): AsyncGenerator<Item> {
    let next: string | undefined;
    do {
      const query = { limit: String(pageSize), ...(next === undefined ? {} : { continue: next }) };
      const body = await readBody(await this.#get(path, query, signal), pageBytes);
      const page = schema.parse(JSON.parse(body.toString("utf8")));
      yield* page.items;
      next = page.metadata.continue;
    } while (next !== undefined && next !== "");
  }

  async #get(
    path: string,
    query: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<IncomingMessage> {
    const { url, tokenFile, caFile } = this.#settings;
    const [token, ca] = await Promise.all([readFile(tokenFile, "utf8"), readFile(caFile, "utf8")]);
    const target = new URL(`/api/v1/namespaces/${path}`, url);
    target.search = new URLSearchParams(query).toString();
    return get(target, { headers: { authorization: `Bearer ${token.trim()}` }, ca, signal });
  }
}

/** Notes what a part of the work lacks and lets the others go on; but for the bucket's errors and the signal. */
async function note<T>(
  output: EvidenceOutput,
  signal: AbortSignal,
  what: string,
  work: Promise<T>,
): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof ArchiveStoreError) throw error;
    output.missing(`${what}: ${(error as Error).message}`);
    return undefined;
  }
}
