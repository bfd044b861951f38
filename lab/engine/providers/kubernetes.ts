/**
 * The `kubernetes` package in render mode (`renderYamlToDirectory`): objects are validated and written to files, as
 * the real provider does: `0-crd/` and `1-manifest/`, `<apiVersion>-<kind>-<namespace>-<name>.yaml`, mode 0600 in
 * folders of mode 0700. They may hold secrets in clear. Deleting an object removes its file.
 */
import { randomBytes } from "node:crypto";
import { access, chmod, mkdir, readdir, rename, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { stringify } from "yaml";
import { z } from "zod";
import { ProviderError } from "../errors.ts";
import { plainMap, type PropertyMap, textOf } from "../properties.ts";
import {
  anyValue,
  type OperationContext,
  type ProviderPackage,
  type ResourceDefinition,
} from "../provider.ts";
import { immutableChanges, type Mutability } from "./kubernetes-immutable.ts";
import type { KubernetesLife } from "./kubernetes-life.ts";
import { isNamespaced, objectProblems } from "./kubernetes-validation.ts";

/** Options are JSON text on the wire; those that only matter with a cluster are taken and not used. */
const configurationSchema = z
  .strictObject({
    renderYamlToDirectory: z.string({
      error: "the lab engine knows only render mode: give the provider a renderYamlToDirectory",
    }),
    namespace: z.string().default("default"),
    alwaysRender: z.string().optional(),
    cluster: z.string().optional(),
    clusterIdentifier: z.string().optional(),
    context: z.string().optional(),
    deleteUnreachable: z.string().optional(),
    enableConfigMapMutable: z.string().optional(),
    enablePatchForce: z.string().optional(),
    enableSecretMutable: z.string().optional(),
    enableServerSideApply: z.string().optional(),
    helmReleaseSettings: z.string().optional(),
    kubeClientSettings: z.string().optional(),
    kubeconfig: z.string().optional(),
    skipUpdateUnreachable: z.string().optional(),
    suppressDeprecationWarnings: z.string().optional(),
    suppressHelmHookWarnings: z.string().optional(),
    upsertExistingObjects: z.string().optional(),
  })
  // As the real provider's own check.
  .superRefine((given, problems) => {
    for (const key of ["kubeconfig", "cluster", "context"] as const) {
      if (given[key] === undefined) continue;
      problems.addIssue({
        code: "custom",
        path: [key],
        message: "is not compatible with renderYamlToDirectory",
      });
    }
  });

/** Namespaces that every cluster has. */
const defaultNamespaces: ReadonlySet<string> = new Set([
  "default",
  "kube-system",
  "kube-public",
  "kube-node-lease",
]);

/** Remote components and other things of the package that are no objects. */
const refused = /^kubernetes:(helm\.sh|yaml|kustomize)|(List|Patch)$/;

interface Metadata {
  name: string;
  namespace?: string;
  [key: string]: unknown;
}

function metadataOf(object: PropertyMap): Metadata {
  return object["metadata"] as unknown as Metadata;
}

/** Where the real provider puts an object. */
export function renderPath(directory: string, object: PropertyMap): string {
  const { name, namespace = "default" } = metadataOf(object);
  const apiVersion = textOf(object["apiVersion"]).replace(/[/:]/g, "_");
  const kind = textOf(object["kind"]);
  const folder = kind === "CustomResourceDefinition" ? "0-crd" : "1-manifest";
  return path.join(directory, folder, `${apiVersion}-${kind.toLowerCase()}-${namespace}-${name}.yaml`);
}

async function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}

async function write(directory: string, object: PropertyMap): Promise<void> {
  for (const folder of [directory, path.join(directory, "0-crd"), path.join(directory, "1-manifest")]) {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await chmod(folder, 0o700);
  }
  const file = renderPath(directory, object);
  const temporary = `${file}.${randomBytes(4).toString("hex")}.tmp`;
  await writeFile(
    temporary,
    stringify(object, { sortMapEntries: true, lineWidth: 0, aliasDuplicateObjects: false }),
    { mode: 0o600 },
  );
  await rename(temporary, file);
}

function idOf(object: PropertyMap): string {
  const { name, namespace } = metadataOf(object);
  return namespace === undefined ? name : `${namespace}/${name}`;
}

/** One provider: a folder. */
class Renderer {
  readonly #directory: string;
  readonly #namespace: string;
  readonly #mutability: Mutability;
  readonly #life: KubernetesLife | undefined;
  /** Files that this run has written, and by which id: two resources must not be one object. */
  readonly #written = new Set<string>();

  constructor(
    directory: string,
    namespace: string,
    mutability: Mutability,
    life: KubernetesLife | undefined,
  ) {
    this.#directory = directory;
    this.#namespace = namespace;
    this.#mutability = mutability;
    this.#life = life;
  }

  #absolute(context: OperationContext): string {
    return path.resolve(context.workingDirectory, this.#directory);
  }

  async #render(object: PropertyMap, context: OperationContext): Promise<void> {
    const directory = this.#absolute(context);
    const { namespace } = metadataOf(object);
    if (namespace !== undefined && !defaultNamespaces.has(namespace)) {
      const file = renderPath(directory, {
        apiVersion: "v1",
        kind: "Namespace",
        metadata: { name: namespace },
      });
      if (!(await exists(file))) {
        throw new ProviderError(
          "namespace-not-found",
          `namespaces "${namespace}" not found: create it before ${textOf(object["kind"])} ${idOf(object)}, and let this depend on it`,
        );
      }
    }
    await write(directory, object);
    await this.#life?.applied(object, context.signal);
    context.signal.throwIfAborted();
  }

  definition(type: string): ResourceDefinition | undefined {
    if (refused.test(type)) return undefined;
    const [, apiVersionOfType = "", kindOfType = ""] = type.split(":");
    return {
      inputs: z.record(z.string(), anyValue),
      replaceOn: ["apiVersion", "kind"],
      replaces: (old, fresh) => immutableChanges(old, fresh, this.#mutability),
      // An object goes with the namespace that it got from another resource.
      boundBy: ["metadata"],
      sameThing: (old, fresh) => idOf(plainMap(old)) === idOf(plainMap(fresh)),
      ...(kindOfType === "Secret" ? { secretOutputs: ["data", "stringData"] } : {}),
      complete: (inputs, old, name) => {
        const given = (inputs["metadata"] ?? {}) as PropertyMap;
        const apiVersion =
          inputs["apiVersion"] ??
          (apiVersionOfType.startsWith("core/") ? apiVersionOfType.slice(5) : apiVersionOfType);
        const kind = inputs["kind"] ?? kindOfType;
        const former = old === undefined ? undefined : metadataOf(old).name;
        const namespaced = isNamespaced(textOf(apiVersion), textOf(kind));
        return {
          ...inputs,
          apiVersion,
          kind,
          metadata: {
            ...given,
            // The real provider's form of a generated name.
            name: given["name"] ?? former ?? `${name}-${randomBytes(4).toString("hex")}`,
            ...(given["namespace"] === undefined && namespaced === true
              ? { namespace: this.#namespace }
              : {}),
          },
        };
      },
      problems: objectProblems,
      isStale: async (recorded, context) =>
        !(await exists(renderPath(this.#absolute(context), recorded.inputs))),
      create: async (inputs, context) => {
        const file = renderPath(this.#absolute(context), inputs);
        if (this.#written.has(file)) {
          throw new ProviderError(
            "already-exists",
            `another resource of this program is ${textOf(inputs["kind"])} ${idOf(inputs)} already`,
          );
        }
        this.#written.add(file);
        await this.#render(inputs, context);
        return { id: idOf(inputs), outputs: inputs };
      },
      update: async (_recorded, inputs, context) => {
        await this.#render(inputs, context);
        return inputs;
      },
      delete: async (recorded, context) => {
        const directory = this.#absolute(context);
        await rm(renderPath(directory, recorded.inputs), { force: true });
        this.#written.delete(renderPath(directory, recorded.inputs));
        await removeEmpty(directory);
      },
      find: async (inputs, context) =>
        (await exists(renderPath(this.#absolute(context), inputs)))
          ? { id: idOf(inputs), outputs: inputs }
          : undefined,
    };
  }
}

/** Removes the rendered folders when nothing is in them any more. */
async function removeEmpty(directory: string): Promise<void> {
  for (const folder of [path.join(directory, "0-crd"), path.join(directory, "1-manifest"), directory]) {
    const left = await readdir(folder).catch(() => ["unreadable"]);
    if (left.length === 0) await rm(folder, { recursive: true, force: true });
  }
}

export const kubernetes: ProviderPackage = {
  name: "kubernetes",
  configuration: configurationSchema,
  // As the real provider: the identifier decides where there is one; otherwise another folder is another provider.
  replaces: (old, fresh) => {
    const [before, after] = [old["clusterIdentifier"], fresh["clusterIdentifier"]];
    if (before !== undefined && after !== undefined) return before === after ? [] : ["clusterIdentifier"];
    return old["renderYamlToDirectory"] === fresh["renderYamlToDirectory"] ? [] : ["renderYamlToDirectory"];
  },
  configure: (values, { kubernetes: life } = {}) => {
    const configuration = configurationSchema.parse(values);
    const mutability = {
      configMaps: configuration.enableConfigMapMutable === "true",
      secrets: configuration.enableSecretMutable === "true",
    };
    const { renderYamlToDirectory, namespace } = configuration;
    const renderer = new Renderer(renderYamlToDirectory, namespace, mutability, life);
    return {
      resource: (type) => renderer.definition(type),
      known: ["every Kubernetes object; no helm, yaml or kustomize components, no lists and patches"],
    };
  },
};
