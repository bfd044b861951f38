/**
 * Configuration from the environment, validated by zod at start. All mistakes are reported together, by
 * variable name; values are never printed, because some of them are secrets.
 */
import { z } from "zod";

/** The environment does not hold what a service needs. `message` names every variable that is wrong. */
export class ConfigError extends Error {
  readonly mistakes: readonly string[];

  constructor(mistakes: readonly string[]) {
    super(
      `The environment is not valid:\n${mistakes.map((mistake) => `  - ${mistake}`).join("\n")}\n` +
        "Correct the ConfigMap or Secret these variables come from (or the shell) and start again.",
    );
    this.name = "ConfigError";
    this.mistakes = mistakes;
  }
}

/** A whole number written in decimal digits, inside [minimum, maximum]. */
export function integer(minimum: number, maximum: number) {
  return z
    .string()
    .regex(/^-?\d+$/, `expected a whole number from ${minimum} to ${maximum}`)
    .transform(Number)
    .refine(
      (value) => value >= minimum && value <= maximum,
      `expected a whole number from ${minimum} to ${maximum}`,
    );
}

/** A comma separated list; blanks around items are dropped, an empty text is an empty list. */
export const list = z.string().transform((text) =>
  text
    .split(",")
    .map((item) => item.trim())
    .filter((item) => item !== ""),
);

/** A comma separated list with at least one item. */
export const nonEmptyList = list.refine(
  (items) => items.length > 0,
  "expected at least one item, comma separated",
);

/** A URL with one of the given schemes, for example `url("ws", "wss")`. */
export function url(...schemes: string[]) {
  const expected = `expected a URL that begins with ${schemes.map((scheme) => `${scheme}://`).join(" or ")}`;
  return z
    .string()
    .refine((text) => URL.canParse(text) && schemes.includes(new URL(text).protocol.slice(0, -1)), expected);
}

/** Any text that is not empty. Used for secrets, too. */
export const text = z.string().min(1, "expected a text that is not empty");

/** A calendar date, `2025-10-14`. */
export const calendarDate = z.iso.date("expected a date like 2025-10-14");

/** The variables every service reads: identity, address of Kafka, HTTP port, log level. */
export const serviceVariables = {
  /** Name of the deployable in the catalog; also the consumer group and the label of every metric. */
  SERVICE_NAME: text,
  /** Port of /healthz, /readyz and /metrics; 0 takes any free one. */
  HTTP_PORT: integer(0, 65_535).default(8080),
  /** `dev` or `prod`. */
  STACK: text,
  /** Identity of the cluster, also part of the archive's prefix. */
  CLUSTER_ID: text,
  /** Date of the trading day in America/New_York. */
  BUSINESS_DATE: calendarDate,
  /** `host:port` of the brokers, comma separated. */
  KAFKA_BROKERS: nonEmptyList,
  /** Copies of each partition of a topic that a service creates. */
  KAFKA_REPLICATION_FACTOR: integer(1, 9).default(3),
  /** Copies that must have a record before it counts as written. */
  KAFKA_MIN_INSYNC_REPLICAS: integer(1, 9).default(2),
  /** How old an event may be, by its own clock, when it is received; older ones are put aside. Historical sessions need more. */
  MAX_EVENT_AGE_DAYS: integer(1, 36_500).default(7),
  /** Services that must have drained before this one does, comma separated. */
  DRAIN_AFTER: list.default([]),
  LOG_LEVEL: z.enum(["trace", "debug", "info", "warn", "error", "fatal"]).default("info"),
};

/** What {@link serviceVariables} parse to. */
export type ServiceSettings = z.output<z.ZodObject<typeof serviceVariables>>;

/**
 * Reads the variables of `shape` from the environment. An empty variable counts as absent.
 * @param shape zod type of each variable, for example `{...serviceVariables, NEAR_RELAY_TOKEN: text}`.
 * @param environment default `process.env`.
 * @throws ConfigError that names every mistake at once.
 */
export function readConfig<Shape extends z.ZodRawShape>(
  shape: Shape,
  environment: Record<string, string | undefined> = process.env,
): z.output<z.ZodObject<Shape>> {
  const given: Record<string, string> = {};
  for (const name of Object.keys(shape)) {
    const value = environment[name];
    if (value !== undefined && value !== "") given[name] = value;
  }
  const parsed = z.object(shape).safeParse(given);
  if (parsed.success) return parsed.data;
  throw new ConfigError(
    parsed.error.issues.map((issue) => {
      const name = String(issue.path[0]);
      return given[name] === undefined ? `${name}: is missing` : `${name}: ${issue.message}`;
    }),
  );
}
