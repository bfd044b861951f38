/** The rendered Kubernetes objects, as far as running their pods as local processes needs them. */
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { parseAllDocuments } from "yaml";
import { z } from "zod";
import { WorkloadError } from "./errors.ts";

const keyRef = z.object({ name: z.string(), key: z.string(), optional: z.boolean().optional() });

const variable = z.object({
  name: z.string(),
  value: z.string().optional(),
  // Strict: a source that is not resolved here would be a variable that is silently missing.
  valueFrom: z
    .strictObject({ configMapKeyRef: keyRef.optional(), secretKeyRef: keyRef.optional() })
    .optional(),
});

const reference = z.object({ name: z.string(), optional: z.boolean().optional() });

const container = z.object({
  name: z.string(),
  image: z.string().default(""),
  /** Without one the image's own program runs, see programs.ts. */
  command: z.array(z.string()).default([]),
  args: z.array(z.string()).default([]),
  env: z.array(variable).default([]),
  envFrom: z
    .array(z.object({ configMapRef: reference.optional(), secretRef: reference.optional() }))
    .default([]),
  ports: z.array(z.object({ name: z.string().optional(), containerPort: z.number() })).default([]),
  volumeMounts: z.array(z.object({ name: z.string(), mountPath: z.string() })).default([]),
  readinessProbe: z.object({ httpGet: z.object({ path: z.string() }) }).optional(),
});

const metadata = z.object({ name: z.string(), namespace: z.string().default("default") });

const workload = z.object({
  kind: z.enum(["Job", "Deployment", "StatefulSet"]),
  metadata,
  spec: z.object({
    replicas: z.number().default(1),
    backoffLimit: z.number().default(6),
    template: z.object({
      spec: z.object({
        containers: z.array(container).min(1),
        terminationGracePeriodSeconds: z.number().default(30),
      }),
    }),
  }),
});

const configMap = z.object({ metadata, data: z.record(z.string(), z.string()).default({}) });
const secret = configMap.extend({ stringData: z.record(z.string(), z.string()).default({}) });

export type Container = z.infer<typeof container>;
export type Workload = z.infer<typeof workload>;

/** What was found in the folder. */
export interface RenderedObjects {
  workloads: Workload[];
  /** Values by `<namespace>/<name>`. */
  configMaps: Map<string, Record<string, string>>;
  /** Values in clear by `<namespace>/<name>`. */
  secrets: Map<string, Record<string, string>>;
}

/**
 * Reads every YAML file below a folder.
 * @throws WorkloadError that names each file that is not what a cluster would take.
 */
export function readObjects(directory: string): RenderedObjects {
  const objects: RenderedObjects = { workloads: [], configMaps: new Map(), secrets: new Map() };
  const faults: string[] = [];
  const files = readdirSync(directory, { recursive: true, encoding: "utf8" })
    .filter((file) => /\.ya?ml$/.test(file))
    .sort();
  for (const file of files) {
    for (const document of parseAllDocuments(readFileSync(path.join(directory, file), "utf8"))) {
      if (document.errors.length > 0) {
        faults.push(`${file}: ${document.errors.map((error) => error.message).join("; ")}`);
        continue;
      }
      addFrom(file, document.toJS(), objects, faults);
    }
  }
  if (faults.length > 0) throw new WorkloadError(`Objects that cannot be run:\n  ${faults.join("\n  ")}`);
  return objects;
}

/**
 * The same of objects that somebody has at hand, by a name for each, for example as an API server has them.
 * @throws WorkloadError that names each object that is not what a cluster would take.
 */
export function objectsOf(found: ReadonlyMap<string, unknown>): RenderedObjects {
  const objects: RenderedObjects = { workloads: [], configMaps: new Map(), secrets: new Map() };
  const faults: string[] = [];
  for (const [name, object] of found) addFrom(name, object, objects, faults);
  if (faults.length > 0) throw new WorkloadError(`Objects that cannot be run:\n  ${faults.join("\n  ")}`);
  return objects;
}

function addFrom(source: string, object: unknown, objects: RenderedObjects, faults: string[]): void {
  try {
    addObject(objects, object as { kind?: string } | null);
  } catch (error) {
    if (!(error instanceof z.ZodError)) throw error;
    faults.push(
      `${source}: ${error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`).join("; ")}`,
    );
  }
}

function addObject(objects: RenderedObjects, object: { kind?: string } | null): void {
  switch (object?.kind) {
    case "Job":
    case "Deployment":
    case "StatefulSet":
      objects.workloads.push(workload.parse(object));
      return;
    case "ConfigMap": {
      const { metadata: of, data } = configMap.parse(object);
      objects.configMaps.set(`${of.namespace}/${of.name}`, data);
      return;
    }
    case "Secret": {
      const { metadata: of, data, stringData } = secret.parse(object);
      const decoded = Object.entries(data).map(([key, value]) => [
        key,
        Buffer.from(value, "base64").toString(),
      ]);
      objects.secrets.set(`${of.namespace}/${of.name}`, {
        ...(Object.fromEntries(decoded) as Record<string, string>),
        ...stringData,
      });
      return;
    }
    default:
      return;
  }
}
