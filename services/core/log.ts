/**
 * Structured logs: one JSON object a line on standard output, with the service's name, and with the ids of
 * the event a line is about. Secrets never reach a log: known field names are redacted, and the values a
 * service was given as secrets are replaced wherever they appear.
 */
import { pino, type DestinationStream, type Logger } from "pino";

export type { Logger } from "pino";

/** Field names whose value is never printed, at the top level and one level down. */
const secretFields = [
  "authorization",
  "Authorization",
  "secret",
  "token",
  "password",
  "privateKey",
  "private_key",
  "signature",
];

/** What a line about an event carries. */
export interface EventIds {
  event_id: string;
  correlation_id?: string | undefined;
  causation_id?: string | undefined;
}

/** Arguments of {@link createLogger}. */
export interface LoggerOptions {
  /** Name of the deployable, as in the catalog. */
  service: string;
  /** Lowest level that is printed. Default `info`. */
  level?: string;
  /** Values that must never be printed: passwords, tokens, keys. Values shorter than 6 characters are ignored. */
  secrets?: readonly string[];
  /** Where the lines go. Default: standard output, synchronous, so that the last words of a crash are kept. */
  destination?: DestinationStream;
}

/** A text without the secrets in it, as they are and as JSON escapes them. Values shorter than 6 characters stay. */
export function withoutSecrets(text: string, secrets: readonly string[]): string {
  return secrets
    .filter((value) => value.length >= 6)
    .flatMap((value) => [JSON.stringify(value).slice(1, -1), value])
    .reduce((safe, value) => safe.replaceAll(value, "[redacted]"), text);
}

/** Makes the logger of a service. */
export function createLogger(options: LoggerOptions): Logger {
  const secrets = options.secrets ?? [];
  return pino(
    {
      level: options.level ?? "info",
      base: { service: options.service },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: {
        paths: secretFields.flatMap((field) => [field, `*.${field}`]),
        censor: "[redacted]",
      },
      hooks: {
        streamWrite: (line) => withoutSecrets(line, secrets),
      },
    },
    options.destination ?? pino.destination({ dest: 1, sync: true }),
  );
}

/** A child logger whose lines carry the ids of `event`, so that a chain can be followed through all services. */
export function forEvent(logger: Logger, event: EventIds): Logger {
  return logger.child({
    event_id: event.event_id,
    ...(event.correlation_id === undefined ? {} : { correlation_id: event.correlation_id }),
    ...(event.causation_id === undefined ? {} : { causation_id: event.causation_id }),
  });
}
