/** Whether something found by its name is what an interrupted creation of ours made. */
import { ProviderError } from "../errors.ts";
import type { PropertyMap } from "../properties.ts";

/** The labels that identify a cluster of ours. */
const identifying = ["project", "stack", "cluster-id"];

/**
 * @param wanted labels of the interrupted creation's inputs
 * @throws ProviderError that names what stands in the way, when the labels say that it is not ours
 */
export function demandOurs(
  kind: string,
  found: { id: unknown; name: unknown; labels: unknown },
  wanted: PropertyMap[string] | undefined,
): void {
  const ours = (wanted ?? {}) as Record<string, string>;
  const theirs = (found.labels ?? {}) as Record<string, string>;
  const given = identifying.filter((label) => ours[label] !== undefined);
  const compared = given.length > 0 ? given : Object.keys(ours);
  const same = compared.length > 0 && compared.every((label) => ours[label] === theirs[label]);
  if (same) return;
  const listed = Object.entries(theirs).map(([key, value]) => `${key}=${value}`);
  throw new ProviderError(
    "name-taken",
    `the ${kind} "${String(found.name)}" (id ${String(found.id)}) is there already and does not carry this cluster's labels; ` +
      `it has ${listed.length === 0 ? "none" : listed.join(", ")}. Delete it, or take another name.`,
  );
}
