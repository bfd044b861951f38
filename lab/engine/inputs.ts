/** Turns what the program gave into checked inputs. */
import { randomBytes } from "node:crypto";
import { CheckError } from "./errors.ts";
import {
  asSecret,
  containsSecret,
  equal,
  plain,
  plainMap,
  type PropertyMap,
  type PropertyValue,
  withSecrets,
} from "./properties.ts";
import { parseInputs, type ResourceDefinition } from "./provider.ts";

/**
 * Checks inputs against a definition and fills in what is generated.
 * @param given from the program, secrets wrapped
 * @param old recorded inputs, so that a generated name stays
 * @param name the resource's name in the program, from which names are generated
 * @throws CheckError with every mistake
 */
export function checkInputs(
  definition: ResourceDefinition,
  given: PropertyMap,
  old: PropertyMap | undefined,
  name: string,
): PropertyMap {
  const clear = plainMap(given);
  const { nameProperty } = definition;
  if (nameProperty !== undefined && (clear[nameProperty] ?? null) === null) {
    // Pulumi's form: the resource's name and seven hexadecimal digits.
    const former = old?.[nameProperty];
    clear[nameProperty] =
      former === undefined ? `${name}-${randomBytes(4).toString("hex").slice(0, 7)}` : plain(former);
  }
  const parsed = parseInputs(definition.inputs, clear);
  const complete =
    definition.complete?.(parsed, old === undefined ? undefined : plainMap(old), name) ?? parsed;
  const problems = definition.problems?.(complete) ?? [];
  if (problems.length > 0) throw new CheckError(problems);
  return Object.fromEntries(
    Object.entries(complete).map(([key, value]) => [key, keepSecrets(value, given[key])]),
  );
}

/** `value` with the secrets of the input that it came from. */
function keepSecrets(value: PropertyValue, given: PropertyValue | undefined): PropertyValue {
  if (given === undefined || !containsSecret(given)) return value;
  return equal(given, value) ? given : asSecret(value);
}

/** Wraps outputs as secret as the definition, the program and the inputs ask. */
export function guardOutputs(
  definition: ResourceDefinition,
  outputs: PropertyMap,
  inputs: PropertyMap,
  additional: readonly string[],
): PropertyMap {
  const names = new Set([...(definition.secretOutputs ?? []), ...additional]);
  if (definition.secretsSpread === true && Object.values(inputs).some(containsSecret)) {
    for (const key of Object.keys(outputs)) if (!(key in inputs)) names.add(key);
  }
  return withSecrets(outputs, inputs, names);
}
