/** Turns what the program gave into checked inputs. */
import { randomBytes } from "node:crypto";
import { z } from "zod";
import { CheckError } from "./errors.ts";
import { parsePath } from "./differences.ts";
import {
  asSecret,
  containsSecret,
  containsUnknown,
  equal,
  plain,
  plainMap,
  type PropertyMap,
  type PropertyValue,
  withSecrets,
} from "./properties.ts";
import { parseInputs, problemsOf, type ResourceDefinition } from "./provider.ts";

/**
 * Checks inputs against a definition and fills in what is generated.
 * @param given from the program, secrets wrapped
 * @param old recorded inputs, so that a generated name stays
 * @param name the resource's name in the program, from which names are generated
 * @param unknowns whether values may be unknown (only in a preview): what is said against them is not heard
 * @throws CheckError with every mistake
 */
export function checkInputs(
  definition: ResourceDefinition,
  given: PropertyMap,
  old: PropertyMap | undefined,
  name: string,
  unknowns: "refused" | "allowed" = "refused",
): PropertyMap {
  const clear = plainMap(given);
  const { nameProperty } = definition;
  if (nameProperty !== undefined && (clear[nameProperty] ?? null) === null) {
    // Pulumi's form: the resource's name and seven hexadecimal digits.
    const former = old?.[nameProperty];
    clear[nameProperty] =
      former === undefined ? `${name}-${randomBytes(4).toString("hex").slice(0, 7)}` : plain(former);
  }
  const partly = unknowns === "allowed" && containsUnknown(clear);
  const parsed = partly ? parseKnown(definition.inputs, clear) : parseInputs(definition.inputs, clear);
  const complete =
    definition.complete?.(parsed, old === undefined ? undefined : plainMap(old), name) ?? parsed;
  const problems = (definition.problems?.(complete) ?? []).filter(
    ({ property }) => !partly || !isUnknownAt(complete, property),
  );
  if (problems.length > 0) throw new CheckError(problems);
  return Object.fromEntries(
    Object.entries(complete).map(([key, value]) => [key, keepSecrets(value, given[key])]),
  );
}

/** Whether what a problem speaks of is not known yet: at its path, or where the path leads through. */
function isUnknownAt(values: PropertyMap, property: string): boolean {
  let value: PropertyValue | undefined = values;
  for (const step of parsePath(property)) {
    if (typeof value !== "object" || value === null) break;
    value = (value as Record<string, PropertyValue>)[String(step)];
  }
  return value !== undefined && containsUnknown(value);
}

/** As `parseInputs`, for values of which some are unknown: those pass as they are. */
function parseKnown(schema: z.ZodType, values: PropertyMap): PropertyMap {
  const parsed = schema.safeParse(values);
  const problems = parsed.success
    ? []
    : problemsOf(parsed.error).filter(({ property }) => !isUnknownAt(values, property));
  if (problems.length > 0) throw new CheckError(problems);
  if (!(schema instanceof z.ZodObject)) return values;
  const shape = schema.shape as Record<string, z.ZodType | undefined>;
  return Object.fromEntries(
    Object.entries(values).map(([key, value]) => {
      const member = shape[key];
      if (member === undefined || containsUnknown(value)) return [key, value];
      return [key, parseInputs(z.object({ [key]: member }), { [key]: value })[key] ?? null];
    }),
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
