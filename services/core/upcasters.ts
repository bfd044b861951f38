/**
 * Upcasters: each lifts the payload of one event type from one version to the next. What is written stays as it
 * was; only what is read is lifted, so that all code knows the newest version alone.
 */

/** Makes version n + 1 of version n; sees what JSON.parse gave, not yet checked. Must not change its argument. */
type Upcaster = (payload: Fields) => unknown;
type Fields = Readonly<Record<string, unknown>>;

/** What is no object has no fields; the schema will say so. */
function fieldsOf(value: unknown): Fields {
  return typeof value === "object" && value !== null ? (value as Fields) : {};
}

/**
 * Version 2 (November 2026) names what kind of thing was filled, because orders for shares came beside swaps:
 * `filled: {amount_in, amount_out}` became `filled: {kind: "swap", amount_in, amount_out}`.
 */
const nameFilledKind: Upcaster = (result) => ({
  ...result,
  filled: { kind: "swap", ...fieldsOf(result["filled"]) },
});

/** By event type; the first element makes version 2. */
const upcasters: Readonly<Record<string, readonly Upcaster[]>> = {
  "exec.trade_result": [nameFilledKind],
  // The journal holds the result as it is published.
  "exec.journal": [
    (entry) =>
      entry["result"] === undefined ? entry : { ...entry, result: nameFilledKind(fieldsOf(entry["result"])) },
  ],
};

/** How many versions of an event type are lifted: one less than its newest version, or some could not be read. */
export function upcasterCount(type: string): number {
  return upcasters[type]?.length ?? 0;
}

/**
 * Lifts an event to the newest version of its type.
 * @param event what JSON.parse gave; what is no event of an older version is returned as it is, for the schema to judge.
 * @param version the newest version of `type`.
 */
export function upcast(event: unknown, type: string, version: number): unknown {
  if (typeof event !== "object" || event === null) return event;
  const { schema_version, payload } = event as { schema_version?: unknown; payload?: unknown };
  if (!Number.isInteger(schema_version) || typeof payload !== "object" || payload === null) return event;
  const from = schema_version as number;
  if (from < 1 || from >= version) return event;
  const lifted = (upcasters[type] ?? [])
    .slice(from - 1, version - 1)
    .reduce<unknown>((older, upcaster) => upcaster(fieldsOf(older)), payload);
  return { ...event, schema_version: version, payload: lifted };
}
