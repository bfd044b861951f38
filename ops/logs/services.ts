/** Services and their pods. */
import { catalog } from "../../services/catalog.ts";
import { UsageError } from "../run.ts";

/** The service that a pod is of; undefined for pods that are none of the catalog's, such as the brokers'. */
export function serviceOf(pod: string): string | undefined {
  // A name may begin with another one.
  return catalog
    .map(({ name }) => name)
    .filter((name) => pod === name || pod.startsWith(`${name}-`))
    .sort((a, b) => b.length - a.length)[0];
}

/** @throws UsageError that lists what there is */
export function demandService(service: string): void {
  if (catalog.some(({ name }) => name === service)) return;
  const names = catalog.map(({ name }) => name).sort();
  throw new UsageError(
    `--service: found ${JSON.stringify(service)}, expected one of ${names.join(", ")}. Without --service all are shown.`,
  );
}

/** Namespaces of a service, or of all. */
export function namespacesOf(service: string | undefined): string[] {
  const services = catalog.filter(({ name }) => service === undefined || name === service);
  return [...new Set(services.map(({ namespace }) => namespace))].sort();
}
