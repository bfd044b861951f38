/** In what two records with one id differ: the first field, so that a person sees at once what changed. */
import { comparedHeaders, type OutputRecord, textOf } from "./replay-record.ts";

/** The first field in which two records differ. */
export interface FieldDifference {
  /** `partition`, `key`, `header <name>`, a path into the event as `payload.limits.max_amount_out`, or `byte <n>` of the value. */
  field: string;
  /** As it was in the day; undefined where the field is only in the other one. At most 200 characters. */
  archived: string | undefined;
  replayed: string | undefined;
}

/** Longest text that is shown of a field, in characters. */
const longestShown = 200;

/** The first difference between two records, in the order partition, value, key, headers; undefined when there is none. */
export function firstDifference(archived: OutputRecord, replayed: OutputRecord): FieldDifference | undefined {
  const differs = (field: string, a: string | undefined, b: string | undefined): FieldDifference => ({
    field,
    archived: shorten(a),
    replayed: shorten(b),
  });
  if (archived.partition !== replayed.partition) {
    return differs("partition", String(archived.partition), String(replayed.partition));
  }
  const value = valueDifference(archived.value, replayed.value);
  if (value !== undefined) return differs(value.field, value.archived, value.replayed);
  const [keyA, keyB] = [textOf(archived.key), textOf(replayed.key)];
  if (keyA !== keyB) return differs("key", keyA, keyB);
  const [headersA, headersB] = [comparedHeaders(archived), comparedHeaders(replayed)];
  for (let index = 0; index < Math.max(headersA.length, headersB.length); index++) {
    const [a, b] = [headersA[index], headersB[index]];
    const [textA, textB] = [a && textOf(a[1]), b && textOf(b[1])];
    if (a?.[0] === b?.[0] && textA === textB) continue;
    // Names are in order: the smaller one is not in the other record.
    if (a !== undefined && (b === undefined || a[0] < b[0]))
      return differs(`header ${a[0]}`, textA, undefined);
    if (b !== undefined && (a === undefined || b[0] < a[0]))
      return differs(`header ${b[0]}`, undefined, textB);
    return differs(`header ${a?.[0] ?? ""}`, textA, textB);
  }
  return undefined;
}

function valueDifference(archived: Buffer | null, replayed: Buffer | null): FieldDifference | undefined {
  if (archived === null || replayed === null) {
    if (archived === replayed) return undefined;
    return { field: "value", archived: textOf(archived), replayed: textOf(replayed) };
  }
  if (archived.equals(replayed)) return undefined;
  const [a, b] = [jsonOf(archived), jsonOf(replayed)];
  const inside = a === undefined || b === undefined ? undefined : jsonDifference(a, b, "");
  return inside ?? byteDifference(archived, replayed);
}

/** Equal as JSON, or none: the bytes tell. */
function byteDifference(archived: Buffer, replayed: Buffer): FieldDifference {
  let at = 0;
  while (at < archived.length && archived[at] === replayed[at]) at++;
  const around = (bytes: Buffer): string => bytes.subarray(Math.max(0, at - 20), at + 60).toString("utf8");
  return { field: `byte ${at} of the value`, archived: around(archived), replayed: around(replayed) };
}

function jsonOf(bytes: Buffer): object | undefined {
  try {
    const parsed: unknown = JSON.parse(bytes.toString("utf8"));
    return typeof parsed === "object" && parsed !== null ? parsed : undefined;
  } catch {
    return undefined;
  }
}

/** The first difference in order of the fields as the archived one has them, then those that only the other one has. */
function jsonDifference(a: unknown, b: unknown, path: string): FieldDifference | undefined {
  if (isRecord(a) && isRecord(b) && Array.isArray(a) === Array.isArray(b)) {
    for (const name of new Set([...Object.keys(a), ...Object.keys(b)])) {
      const inner = path === "" ? name : `${path}.${name}`;
      const [left, right] = [own(a, name), own(b, name)];
      const difference = jsonDifference(left, right, inner);
      if (difference !== undefined) return difference;
    }
    return undefined;
  }
  const [left, right] = [shown(a), shown(b)];
  return left === right ? undefined : { field: path, archived: left, replayed: right };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

function own(of: Record<string, unknown>, name: string): unknown {
  return Object.hasOwn(of, name) ? of[name] : undefined;
}

/** As JSON, which tells a text from a number; undefined for a field that is not there. */
function shown(value: unknown): string | undefined {
  return value === undefined ? undefined : JSON.stringify(value);
}

function shorten(text: string | undefined): string | undefined {
  return text !== undefined && text.length > longestShown ? `${text.slice(0, longestShown - 1)}…` : text;
}
