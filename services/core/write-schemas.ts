/** `npm run schemas`: writes the newest schemas. Exit code 1, and nothing is written, when one of them refuses what its file accepts. */
import { writeFileSync } from "node:fs";
import { eventTypes, type EventType } from "./events.ts";
import {
  changesAgainstCommitted,
  currentSchema,
  printSchema,
  schemaFile,
  schemasDirectory,
} from "./event-schemas.ts";
import { describeIncompatibility } from "./schema-compatibility.ts";

const types = Object.keys(eventTypes) as EventType[];
const refused = types.flatMap((type) =>
  changesAgainstCommitted(type).map((change) => `  - ${type}: ${describeIncompatibility(change)}`),
);
if (refused.length > 0) {
  process.stderr.write(
    `Records that were written before could not be read any more:\n${refused.join("\n")}\n`,
  );
  process.exit(1);
}
for (const type of types) {
  const file = new URL(schemaFile(type, eventTypes[type].version), schemasDirectory);
  writeFileSync(file, printSchema(currentSchema(type)));
}
process.stdout.write(`${types.length} schemas written\n`);
