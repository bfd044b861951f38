/**
 * Whether a JSON Schema may take the place of an older one: everything that the older one accepts must be accepted,
 * because what was written with it stays on the topics and in the archive. Compared are the keywords that zod
 * writes; one that is not known here is refused rather than passed over. What JSON Schema cannot say (zod's `refine`)
 * is not seen: a stricter refinement is a new version, too, and has to be made one by hand.
 */

/** A JSON Schema as zod writes it. `true` and `{}` accept everything, `false` nothing. */
export type JsonSchema = boolean | { readonly [keyword: string]: unknown };

/** One way in which the newer schema refuses what the older one accepts. */
export interface Incompatibility {
  /** Where, for example `payload.filled.amount_in`; items of arrays are `[]`, values of maps `*`. */
  path: string;
  /** What changed. */
  what: string;
  /** What to do instead. */
  advice: string;
}

/** Prints an incompatibility as one sentence. */
export function describeIncompatibility({ path, what, advice }: Incompatibility): string {
  return `${path}: ${what}; ${advice}`;
}

/** A keyword's value in a message: texts without quotes. */
function print(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

type Fields = { readonly [keyword: string]: unknown };

const newVersion = "or add version N+1 with an upcaster";

/** Keywords without a meaning for what is accepted. */
const annotations = new Set(["$schema", "$id", "title", "description", "examples", "deprecated"]);
/** What is compared below. */
const compared = new Set([
  "type",
  "const",
  "enum",
  "anyOf",
  "oneOf",
  "properties",
  "required",
  "additionalProperties",
  "propertyNames",
  "items",
  "prefixItems",
  "pattern",
  "format",
  "minLength",
  "maxLength",
  "minimum",
  "maximum",
  "exclusiveMinimum",
  "exclusiveMaximum",
  "multipleOf",
  "minItems",
  "maxItems",
]);

/** Bounds from below, which must not rise, and from above, which must not fall. */
const lowerBounds = ["minLength", "minimum", "exclusiveMinimum", "minItems"];
const upperBounds = ["maxLength", "maximum", "exclusiveMaximum", "maxItems"];

/**
 * Compares two schemas.
 * @param older what was accepted so far.
 * @param newer what shall be accepted from now on.
 * @returns every place where `newer` refuses what `older` accepts, or might: none means compatible.
 */
export function incompatibilities(older: JsonSchema, newer: JsonSchema): Incompatibility[] {
  return compare(older, newer, "");
}

function compare(older: JsonSchema, newer: JsonSchema, path: string): Incompatibility[] {
  if (acceptsNothing(older) || acceptsAll(newer)) return [];
  const found = (what: string, advice: string): Incompatibility[] => [
    { path: path || "event", what, advice },
  ];
  if (acceptsNothing(newer))
    return found("nothing is accepted any more", `accept what was accepted ${newVersion}`);
  const before = (older === true ? {} : older) as Fields;
  const after = newer as Fields;
  const unknown = [...new Set([...Object.keys(before), ...Object.keys(after)])].filter(
    (keyword) => !compared.has(keyword) && !annotations.has(keyword),
  );
  if (unknown.length > 0) {
    return found(
      `${unknown.join(", ")} cannot be compared`,
      "teach services/core/schema-compatibility.ts what it means",
    );
  }
  const alternatives = alternativesOf(before);
  if (alternatives.length > 1 || alternativesOf(after).length > 1) {
    return alternatives.flatMap((alternative) => compareAlternative(alternative, after, path));
  }
  return [
    ...compareTypes(alternatives[0] ?? {}, alternativesOf(after)[0] ?? {}, path),
    ...compareConstraints(alternatives[0] ?? {}, alternativesOf(after)[0] ?? {}, path),
  ];
}

function acceptsAll(schema: JsonSchema): boolean {
  return (
    schema === true || (schema !== false && Object.keys(schema).every((keyword) => annotations.has(keyword)))
  );
}

/** zod writes "never" as "not anything". */
function acceptsNothing(schema: JsonSchema): boolean {
  if (typeof schema === "boolean") return !schema;
  return schema["not"] !== undefined && acceptsAll(schema["not"] as JsonSchema);
}

/** A union as its members, an enumeration as one constant each; anything else is its only alternative. */
function alternativesOf(schema: Fields): Fields[] {
  const { anyOf, oneOf, enum: values, type, ...rest } = schema;
  const members = (anyOf ?? oneOf) as Fields[] | undefined;
  if (members !== undefined)
    return members.flatMap((member) => alternativesOf({ ...withoutAnnotations(rest), ...member }));
  if (Array.isArray(values))
    return values.map((value: unknown) => ({ ...(type === undefined ? {} : { type }), const: value }));
  if (Array.isArray(type)) return type.map((each: unknown) => ({ ...rest, type: each }));
  return [schema];
}

function withoutAnnotations(fields: Fields): Fields {
  return Object.fromEntries(Object.entries(fields).filter(([keyword]) => !annotations.has(keyword)));
}

/** A member of a union must be accepted by one of the newer members. */
function compareAlternative(alternative: Fields, newer: Fields, path: string): Incompatibility[] {
  const candidates = alternativesOf(newer);
  const results = candidates.map((candidate) => compare(alternative, candidate, path));
  if (results.some((mistakes) => mistakes.length === 0)) return [];
  // The member with the same discriminator is the one that was changed.
  const same = candidates.findIndex((candidate) => sameDiscriminator(alternative, candidate));
  if (same >= 0) return results[same] ?? [];
  return [
    {
      path: path || "event",
      what: `${nameOf(alternative)} was accepted and is not any more`,
      advice: `keep it ${newVersion}`,
    },
  ];
}

/** The constants among an object's properties, such as `kind`. */
function discriminators(schema: Fields): [string, unknown][] {
  return Object.entries((schema["properties"] ?? {}) as Record<string, Fields>).flatMap(([name, property]) =>
    property["const"] === undefined ? [] : [[name, property["const"]] as [string, unknown]],
  );
}

function sameDiscriminator(older: Fields, newer: Fields): boolean {
  const [before, after] = [discriminators(older), discriminators(newer)];
  return before.length > 0 && JSON.stringify(before) === JSON.stringify(after);
}

function nameOf(schema: Fields): string {
  if ("const" in schema) return JSON.stringify(schema["const"]);
  const constants = discriminators(schema).map(([name, value]) => `${name} ${JSON.stringify(value)}`);
  return constants.length > 0
    ? `the member with ${constants.join(" and ")}`
    : `the type ${String(schema["type"])}`;
}

function compareTypes(older: Fields, newer: Fields, path: string): Incompatibility[] {
  const found = (what: string, advice: string): Incompatibility[] => [
    { path: path || "event", what, advice },
  ];
  if ("const" in newer) {
    if ("const" in older && JSON.stringify(older["const"]) === JSON.stringify(newer["const"])) return [];
    return found(
      `only ${JSON.stringify(newer["const"])} is accepted, before it was ${"const" in older ? JSON.stringify(older["const"]) : "more"}`,
      `accept the other values too ${newVersion}`,
    );
  }
  const [before, after] = [typeOf(older), newer["type"]];
  if (after === undefined || before === after || (before === "integer" && after === "number")) return [];
  return found(
    `the type was ${before === undefined ? "any" : print(before)} and is ${print(after)}`,
    `keep the type, accept both, ${newVersion}`,
  );
}

function typeOf(schema: Fields): unknown {
  if (schema["type"] !== undefined || !("const" in schema)) return schema["type"];
  return schema["const"] === null ? "null" : typeof schema["const"];
}

function compareConstraints(older: Fields, newer: Fields, path: string): Incompatibility[] {
  // A constant against constraints: the constant alone has to keep them.
  if ("const" in older && !("const" in newer)) return compareConstant(older["const"], newer, path);
  return [
    ...compareBounds(older, newer, path),
    ...compareTexts(older, newer, path),
    ...compareObjects(older, newer, path),
    ...compareArrays(older, newer, path),
  ];
}

function compareConstant(value: unknown, newer: Fields, path: string): Incompatibility[] {
  const { pattern } = newer;
  const refused =
    typeof value === "string" &&
    ((typeof pattern === "string" && !new RegExp(pattern, "u").test(value)) ||
      value.length < Number(newer["minLength"] ?? 0) ||
      value.length > Number(newer["maxLength"] ?? Infinity));
  const outside =
    typeof value === "number" &&
    (value < Number(newer["minimum"] ?? -Infinity) || value > Number(newer["maximum"] ?? Infinity));
  if (!refused && !outside) return [];
  return [
    {
      path: path || "event",
      what: `${JSON.stringify(value)} was accepted and is not any more`,
      advice: `keep it ${newVersion}`,
    },
  ];
}

function compareBounds(older: Fields, newer: Fields, path: string): Incompatibility[] {
  const narrowed = (
    keyword: string,
    isNarrower: (before: number, after: number) => boolean,
  ): Incompatibility[] => {
    const [before, after] = [older[keyword], newer[keyword]];
    if (after === undefined) return [];
    if (before !== undefined && !isNarrower(Number(before), Number(after))) return [];
    return [
      {
        path: path || "event",
        what: `${keyword} is ${print(after)}, before it was ${before === undefined ? "not bounded" : print(before)}`,
        advice: `keep the bound ${newVersion}`,
      },
    ];
  };
  return [
    ...lowerBounds.flatMap((keyword) => narrowed(keyword, (before, after) => after > before)),
    ...upperBounds.flatMap((keyword) => narrowed(keyword, (before, after) => after < before)),
  ];
}

/** Whether one pattern accepts all that another one does cannot be computed simply, so any other pattern is refused. */
function compareTexts(older: Fields, newer: Fields, path: string): Incompatibility[] {
  return ["pattern", "format", "multipleOf"].flatMap((keyword) => {
    const [before, after] = [older[keyword], newer[keyword]];
    if (after === undefined || before === after) return [];
    return [
      {
        path: path || "event",
        what: `the ${keyword} is ${print(after)}, before it was ${before === undefined ? "free" : print(before)}`,
        advice: `keep the ${keyword} ${newVersion}`,
      },
    ];
  });
}

function compareObjects(older: Fields, newer: Fields, path: string): Incompatibility[] {
  if (typeOf(newer) !== "object") return [];
  const before = (older["properties"] ?? {}) as Record<string, JsonSchema>;
  const after = (newer["properties"] ?? {}) as Record<string, JsonSchema>;
  const restBefore = (older["additionalProperties"] ?? true) as JsonSchema;
  const restAfter = (newer["additionalProperties"] ?? true) as JsonSchema;
  const requiredBefore = new Set((older["required"] ?? []) as string[]);
  const below = (name: string): string => (path === "" ? name : `${path}.${name}`);

  const required = ((newer["required"] ?? []) as string[])
    .filter((name) => !requiredBefore.has(name))
    .map((name) => ({
      path: below(name),
      what: name in before ? "was optional and is required" : "is a new required field",
      advice: `make it optional ${newVersion}`,
    }));
  const known = Object.entries(before).flatMap(([name, schema]) => {
    const own = after[name];
    if (own !== undefined) return compare(schema, own, below(name));
    if (restAfter === false) {
      return [
        {
          path: below(name),
          what: "was removed, and unknown fields are refused",
          advice: `keep it as an optional field ${newVersion}`,
        },
      ];
    }
    return compare(schema, restAfter, below(name));
  });
  // Fields that the older schema does not name, but accepts.
  const added = Object.entries(after).flatMap(([name, schema]) =>
    name in before ? [] : compare(restBefore, schema, below(name)),
  );
  const rest =
    restAfter === false && restBefore !== false
      ? [
          {
            path: path || "event",
            what: "unknown fields were accepted and are refused",
            advice: `go on accepting them ${newVersion}`,
          },
        ]
      : compare(restBefore, restAfter, below("*"));
  const names =
    newer["propertyNames"] === undefined
      ? []
      : compare(
          (older["propertyNames"] ?? { type: "string" }) as JsonSchema,
          newer["propertyNames"] as JsonSchema,
          below("(names)"),
        );
  return [...required, ...known, ...added, ...rest, ...names];
}

function compareArrays(older: Fields, newer: Fields, path: string): Incompatibility[] {
  if (typeOf(newer) !== "array") return [];
  const before = (older["prefixItems"] ?? []) as JsonSchema[];
  const after = (newer["prefixItems"] ?? []) as JsonSchema[];
  const restBefore = (older["items"] ?? true) as JsonSchema;
  const restAfter = (newer["items"] ?? true) as JsonSchema;
  const places = Array.from({ length: Math.max(before.length, after.length) }, (_, index) =>
    compare(before[index] ?? restBefore, after[index] ?? restAfter, `${path}[${index}]`),
  );
  return [...places.flat(), ...compare(restBefore, restAfter, `${path}[]`)];
}
