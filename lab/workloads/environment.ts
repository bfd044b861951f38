/** The environment of a container, put together as the kubelet does it. */
import path from "node:path";
import { WorkloadError } from "./errors.ts";
import type { Container, RenderedObjects } from "./objects.ts";

/**
 * Resolves a container's variables: `envFrom` in order, then `env`, which wins.
 * @param pod `<namespace>/<name>` of the workload; references are looked up in that namespace.
 * @throws WorkloadError that names every object or key that is referred to and missing.
 */
export function resolveEnvironment(
  container: Container,
  namespace: string,
  pod: string,
  objects: RenderedObjects,
): Record<string, string> {
  const environment: Record<string, string> = {};
  const faults: string[] = [];

  const all = (kind: "ConfigMap" | "Secret", of?: { name: string; optional?: boolean | undefined }): void => {
    if (of === undefined) return;
    const values = objects[kind === "Secret" ? "secrets" : "configMaps"].get(`${namespace}/${of.name}`);
    if (values !== undefined) Object.assign(environment, values);
    else if (of.optional !== true) faults.push(`${kind} ${namespace}/${of.name} is missing`);
  };
  const one = (
    kind: "ConfigMap" | "Secret",
    variable: string,
    of?: { name: string; key: string; optional?: boolean | undefined },
  ): void => {
    if (of === undefined) return;
    const values = objects[kind === "Secret" ? "secrets" : "configMaps"].get(`${namespace}/${of.name}`);
    const value = values?.[of.key];
    if (value !== undefined) environment[variable] = value;
    else if (of.optional !== true)
      faults.push(
        `${variable}: ${kind} ${namespace}/${of.name} ${values ? `has no key ${of.key}` : "is missing"}`,
      );
  };

  for (const source of container.envFrom) {
    all("ConfigMap", source.configMapRef);
    all("Secret", source.secretRef);
  }
  for (const variable of container.env) {
    // An API server leaves an empty value out.
    if (variable.valueFrom === undefined)
      environment[variable.name] = expand(variable.value ?? "", environment);
    one("ConfigMap", variable.name, variable.valueFrom?.configMapKeyRef);
    one("Secret", variable.name, variable.valueFrom?.secretKeyRef);
  }
  if (faults.length > 0) throw new WorkloadError(`${pod} cannot start: ${faults.join("; ")}`);
  return environment;
}

/** `$(NAME)` stands for a variable defined before, `$$` for a dollar sign; an unknown name stays as it is written. */
function expand(value: string, environment: Readonly<Record<string, string>>): string {
  return value.replace(/\$\$|\$\(([A-Za-z_][A-Za-z0-9_.-]*)\)/g, (written, name?: string) =>
    name === undefined ? "$" : (environment[name] ?? written),
  );
}

/**
 * Points variables that name a mounted path at a folder on this machine, since local processes have no mounts.
 * @param directory the folder that stands for the pod's volumes.
 * @returns the environment and the folders that must exist.
 */
export function mapVolumes(
  container: Container,
  environment: Readonly<Record<string, string>>,
  directory: string,
): { environment: Record<string, string>; folders: string[] } {
  const folders = new Map(
    container.volumeMounts.map(({ name, mountPath }) => [mountPath, path.join(directory, name)]),
  );
  const mapped = Object.entries(environment).map(([name, value]) => {
    for (const [mountPath, folder] of folders) {
      if (value === mountPath || value.startsWith(`${mountPath}/`))
        return [name, folder + value.slice(mountPath.length)];
    }
    return [name, value];
  });
  return {
    environment: Object.fromEntries(mapped) as Record<string, string>,
    folders: [...folders.values()],
  };
}
