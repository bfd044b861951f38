/** Comparison of recorded and new inputs, and the options that bend it. */
import {
  asSecret,
  containsSecret,
  equal,
  plain,
  plainMap,
  type PropertyMap,
  type PropertyValue,
} from "./properties.ts";
import type { Difference, ResourceDefinition } from "./provider.ts";

/** A member, an index, or `*` for all of them. */
type Step = string | number;

/** Reads a property path as Pulumi writes it: `a.b[0].c`, `a["b.c"]`, `a[*]`. */
export function parsePath(path: string): Step[] {
  const steps: Step[] = [];
  for (const [, quoted, index, name] of path.matchAll(/\["((?:[^"\\]|\\.)*)"\]|\[(\*|\d+)\]|([^.[\]]+)/g)) {
    if (quoted !== undefined) steps.push(quoted.replaceAll('\\"', '"'));
    else if (index !== undefined) steps.push(index === "*" ? "*" : Number(index));
    else if (name !== undefined) steps.push(name);
  }
  return steps;
}

function member(value: PropertyValue | undefined, step: Step): PropertyValue | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  if (Array.isArray(value)) return value[Number(step)] as PropertyValue | undefined;
  return (value as Record<string, PropertyValue>)[String(step)];
}

function overlay(
  fresh: PropertyValue | undefined,
  old: PropertyValue | undefined,
  steps: readonly Step[],
): PropertyValue | undefined {
  const [step, ...rest] = steps;
  if (step === undefined) return old;
  const base = fresh === undefined ? undefined : plain(fresh);
  if (step === "*") {
    if (Array.isArray(base)) {
      return base.map((inner: PropertyValue, index) => overlay(inner, member(old, index), rest) ?? null);
    }
    if (typeof base !== "object" || base === null) return fresh;
    return Object.fromEntries(
      Object.entries(base).map(([key, inner]) => [key, overlay(inner, member(old, key), rest) ?? null]),
    );
  }
  const inner = overlay(member(base, step), member(old, step), rest);
  if (Array.isArray(base)) {
    const copy = [...(base as PropertyValue[])];
    if (inner !== undefined && Number(step) < copy.length) copy[Number(step)] = inner;
    return copy;
  }
  if (base !== undefined && (typeof base !== "object" || base === null)) return fresh;
  const copy: PropertyMap = { ...((base as PropertyMap | undefined) ?? {}) };
  if (inner === undefined) delete copy[String(step)];
  else copy[String(step)] = inner;
  return Object.keys(copy).length === 0 && fresh === undefined ? undefined : copy;
}

/**
 * The new inputs with every ignored path taken from the old ones (absent there: absent in the result).
 * A property that held a secret anywhere is secret as a whole afterwards.
 */
export function applyIgnoreChanges(
  fresh: PropertyMap,
  old: PropertyMap,
  ignored: readonly string[],
): PropertyMap {
  let result = fresh;
  for (const path of ignored) {
    const steps = parsePath(path);
    if (steps[0] === "*") return old;
    const [first, ...rest] = steps;
    if (first === undefined) continue;
    const key = String(first);
    const { [key]: current, ...others } = result;
    const former = old[key];
    const merged = overlay(current, former === undefined || rest.length === 0 ? former : plain(former), rest);
    const secret = [current, former].some((value) => value !== undefined && containsSecret(value));
    const value = merged !== undefined && secret && rest.length > 0 ? asSecret(merged) : merged;
    result = value === undefined ? others : { ...others, [key]: value };
  }
  return result;
}

function valuesAt(value: PropertyValue | undefined, steps: readonly Step[]): PropertyValue | undefined {
  const [step, ...rest] = steps;
  if (step === undefined || value === undefined) return value;
  const base = plain(value);
  if (step === "*") {
    if (typeof base !== "object" || base === null) return undefined;
    const entries = Array.isArray(base) ? [...base.entries()] : Object.entries(base);
    return Object.fromEntries(
      entries.map(([key, inner]) => [String(key), valuesAt(inner as PropertyValue, rest) ?? null]),
    );
  }
  return valuesAt(member(base, step), rest);
}

/** A value whose lists have one order: where the real provider takes them as sets. */
function sorted(value: PropertyValue | undefined): PropertyValue | undefined {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) {
    return value
      .map((inner: PropertyValue) => sorted(inner) ?? null)
      .sort((left, right) => (JSON.stringify(left) < JSON.stringify(right) ? -1 : 1));
  }
  const members = Object.entries(value).sort(([left], [right]) => (left < right ? -1 : 1));
  return Object.fromEntries(members.map(([key, inner]) => [key, sorted(inner) ?? null]));
}

function sameInput(
  definition: ResourceDefinition,
  key: string,
  old: PropertyValue | undefined,
  fresh: PropertyValue | undefined,
): boolean {
  if (equal(old, fresh)) return true;
  if (old === undefined || fresh === undefined || definition.sets?.includes(key) !== true) return false;
  return equal(sorted(plain(old)), sorted(plain(fresh)));
}

/** Compares inputs under a definition and the program's `replaceOnChanges`. */
export function difference(
  definition: ResourceDefinition,
  old: PropertyMap,
  fresh: PropertyMap,
  replaceOnChanges: readonly string[],
): Difference {
  const changed = [...new Set([...Object.keys(old), ...Object.keys(fresh)])].filter(
    (key) => !sameInput(definition, key, old[key], fresh[key]),
  );
  const replace = new Set(
    definition.replaceOn === "all" || definition.update === undefined
      ? changed
      : changed.filter((key) => definition.replaceOn.includes(key)),
  );
  for (const key of definition.replaces?.(plainMap(old), plainMap(fresh)) ?? []) replace.add(key);
  for (const path of replaceOnChanges) {
    const steps = parsePath(path);
    if (!equal(valuesAt(old, steps), valuesAt(fresh, steps))) {
      if (steps[0] === "*") changed.forEach((key) => replace.add(key));
      else if (steps[0] !== undefined) replace.add(String(steps[0]));
    }
  }
  return { changed, replace: [...replace] };
}
