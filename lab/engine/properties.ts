/**
 * Property values as they travel on Pulumi's wire: JSON, in which an object with the signature key stands for
 * something special. Secrets and, in a preview, unknown values are understood; assets, archives and the like are
 * refused by name.
 * The signatures are those of `@pulumi/pulumi/runtime/rpc`.
 */
import structPb from "google-protobuf/google/protobuf/struct_pb.js";
import { UnsupportedError } from "./errors.ts";

export type PropertyValue =
  null | boolean | number | string | readonly PropertyValue[] | { readonly [key: string]: PropertyValue };
/** Properties of a resource or arguments of a call, secrets possibly wrapped. */
export type PropertyMap = Record<string, PropertyValue>;

const signatureKey = "4dabf18193072939515e22adb298388d";
const secretSignature = "1b47061264138c4ac30d75fd1eb44270";
/** Stands in a preview for what only the operation itself will tell. */
export const unknownValue = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";
const foreignSignatures: Record<string, string> = {
  c44067f5952c0a294b673a41bacd8c17: "asset",
  "0def7320c3a5731c473e5ecbe6d01bc7": "archive",
  "5cf8f73096256a8f31e491e813e4eb8e": "resource reference",
  d0e6a833031e9bbcd3f4e8bde6ca49a4: "output value",
};

function isObject(value: unknown): value is Record<string, PropertyValue> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isList(value: PropertyValue): value is readonly PropertyValue[] {
  return Array.isArray(value);
}

/** Whether this very value is a wrapped secret. */
export function isSecret(value: PropertyValue): boolean {
  return isObject(value) && value[signatureKey] === secretSignature;
}

/** Wraps a value as a secret; wrapping twice changes nothing. */
export function asSecret(value: PropertyValue): PropertyValue {
  return isSecret(value) ? value : { [signatureKey]: secretSignature, value: plain(value) };
}

/** Whether a secret hides anywhere inside. */
export function containsSecret(value: PropertyValue): boolean {
  if (isSecret(value)) return true;
  if (isList(value)) return value.some(containsSecret);
  return isObject(value) && Object.values(value).some(containsSecret);
}

/** Whether an unknown value hides anywhere inside, wrapped as a secret or not. */
export function containsUnknown(value: PropertyValue): boolean {
  if (value === unknownValue) return true;
  if (isList(value)) return value.some(containsUnknown);
  return isObject(value) && Object.values(value).some(containsUnknown);
}

/** The value with every secret unwrapped. */
export function plain(value: PropertyValue): PropertyValue {
  if (isList(value)) return value.map(plain);
  if (!isObject(value)) return value;
  if (isSecret(value)) return plain(value["value"] ?? null);
  return plainMap(value);
}

/** `plain` for a whole map. */
export function plainMap(map: Readonly<Record<string, PropertyValue>>): PropertyMap {
  return Object.fromEntries(Object.entries(map).map(([key, value]) => [key, plain(value)]));
}

/** The value with secrets replaced by the text `[secret]` and unknown ones by `[unknown]`, for people's eyes. */
export function masked(value: PropertyValue): PropertyValue {
  if (isSecret(value)) return "[secret]";
  if (value === unknownValue) return "[unknown]";
  if (isList(value)) return value.map(masked);
  return isObject(value)
    ? Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, masked(inner)]))
    : value;
}

/** Calls `found` with every wrapped secret's plain value. */
export function eachSecret(value: PropertyValue, found: (secret: PropertyValue) => void): void {
  if (isSecret(value)) found(plain(value));
  else if (isList(value)) value.forEach((inner) => eachSecret(inner, found));
  else if (isObject(value)) Object.values(value).forEach((inner) => eachSecret(inner, found));
}

/**
 * Wraps as secret those top-level outputs that must be: named in `names`, or fed by an input of the same name
 * that held a secret.
 */
export function withSecrets(
  outputs: PropertyMap,
  inputs: PropertyMap,
  names: ReadonlySet<string>,
): PropertyMap {
  return Object.fromEntries(
    Object.entries(outputs).map(([key, value]) => {
      const input = inputs[key];
      if (names.has(key)) return [key, value === null ? null : asSecret(value)];
      if (input === undefined || value === null || !containsSecret(input)) return [key, value];
      return [key, equal(input, value) ? input : asSecret(value)];
    }),
  );
}

function refuseForeign(value: PropertyValue, where: string, unknowns: "refused" | "allowed"): void {
  if (value === unknownValue && unknowns === "refused") throw new UnsupportedError("unknown value", where);
  if (isList(value)) {
    value.forEach((inner, index) => refuseForeign(inner, `${where}[${index}]`, unknowns));
  } else if (isObject(value)) {
    const signature = value[signatureKey];
    if (typeof signature === "string" && signature !== secretSignature) {
      throw new UnsupportedError(foreignSignatures[signature] ?? `value with signature ${signature}`, where);
    }
    for (const [key, inner] of Object.entries(value)) refuseForeign(inner, `${where}.${key}`, unknowns);
  }
}

/**
 * Reads a protobuf Struct.
 * @param where what it belongs to, for error messages
 * @param unknowns whether unknown values may be there: only in a preview
 * @throws UnsupportedError for assets, archives, resource references and output values
 */
export function fromStruct(
  struct: structPb.Struct | undefined,
  where: string,
  unknowns: "refused" | "allowed" = "refused",
): PropertyMap {
  const map = struct?.toJavaScript() ?? {};
  refuseForeign(map, where, unknowns);
  return map;
}

function withoutUndefined(value: unknown): structPb.JavaScriptValue {
  if (Array.isArray(value)) return value.map((inner) => withoutUndefined(inner ?? null));
  if (isObject(value)) {
    return Object.fromEntries(
      Object.entries(value)
        .filter(([, inner]) => inner !== undefined)
        .map(([key, inner]) => [key, withoutUndefined(inner)]),
    );
  }
  return value as structPb.JavaScriptValue;
}

/** Writes a protobuf Struct; undefined members are left out. */
export function toStruct(map: PropertyMap): structPb.Struct {
  return structPb.Struct.fromJavaScript(withoutUndefined(map) as Record<string, structPb.JavaScriptValue>);
}

/** Deep equality of JSON values, blind to secret wrapping and to the order of keys. */
export function equal(left: PropertyValue | undefined, right: PropertyValue | undefined): boolean {
  if (left === undefined || right === undefined) return (left ?? null) === (right ?? null);
  const a = plain(left);
  const b = plain(right);
  if (isList(a) && isList(b)) {
    return a.length === b.length && a.every((inner, index) => equal(inner, b[index] as PropertyValue));
  }
  if (isObject(a) && isObject(b)) {
    return [...new Set([...Object.keys(a), ...Object.keys(b)])].every((key) => equal(a[key], b[key]));
  }
  return a === b;
}

/** Any value as text: texts as they are, null and undefined as nothing, the rest as JSON. */
export function textOf(value: unknown): string {
  if (typeof value === "string") return value;
  return value === undefined || value === null ? "" : JSON.stringify(value);
}
