/**
 * The events' schemas as JSON Schema, for readers in other languages and as the record of what was ever written:
 * `schemas/<event type>.v<N>.json`, envelope included. Files of older versions are never changed or removed.
 * `npm run schemas` writes the newest ones, unless they refuse what their files accept.
 */
import { readdirSync, readFileSync } from "node:fs";
import { z } from "zod";
import { envelopeOf } from "./envelope.ts";
import { eventTypes, type EventType } from "./events.ts";
import { incompatibilities, type Incompatibility, type JsonSchema } from "./schema-compatibility.ts";

/** Where the files are. */
export const schemasDirectory = new URL("schemas/", import.meta.url);

/** The file of one version of an event type. */
export function schemaFile(type: string, version: number): string {
  return `${type}.v${version}.json`;
}

/** The schema that zod has now for the newest version of an event type, envelope included. */
export function currentSchema(type: EventType): JsonSchema {
  const { version, payload } = eventTypes[type];
  const event = envelopeOf(payload).extend({
    event_type: z.literal(type),
    schema_version: z.literal(version),
  });
  const { $schema, ...schema } = z.toJSONSchema(event) as Record<string, unknown>;
  return { $schema, title: `${type}, version ${version}`, ...schema };
}

/** A schema as its file holds it. */
export function printSchema(schema: JsonSchema): string {
  return `${JSON.stringify(schema, null, 2)}\n`;
}

/** A schema as it was committed; undefined when there is none. */
export function committedSchema(type: string, version: number): JsonSchema | undefined {
  const name = schemaFile(type, version);
  if (!readdirSync(schemasDirectory).includes(name)) return undefined;
  return JSON.parse(readFileSync(new URL(name, schemasDirectory), "utf8")) as JsonSchema;
}

/** Where the newest version of a type refuses what its committed schema accepts; none when it has no file yet. */
export function changesAgainstCommitted(type: EventType): Incompatibility[] {
  const committed = committedSchema(type, eventTypes[type].version);
  return committed === undefined ? [] : incompatibilities(committed, currentSchema(type));
}
