/** The configuration in `Pulumi.<stack>.yaml`, for what reads it without Pulumi and without all of the program's checks. */
import { parse } from "yaml";

/** Values that are no objects where objects belong. */
export class StackFileError extends Error {
  override readonly name = "StackFileError";
}

/** `pulumi config set` writes an object as JSON text, and the program takes it (stacks/config.ts). */
function valueOf(found: unknown): unknown {
  if (typeof found !== "string") return found;
  try {
    return JSON.parse(found);
  } catch {
    return found;
  }
}

/**
 * Reads the configuration. Objects are what the program makes of them, whether they stand there as YAML or as JSON text.
 * @param file name of the file, for messages
 * @param text what it holds
 * @param objectKeys keys whose values are objects, such as `trading:images`. Other values are left as they stand.
 * @throws StackFileError that names each of these keys whose value is something else
 */
export function stackFileConfig(
  file: string,
  text: string,
  objectKeys: readonly string[],
): Record<string, unknown> {
  const { config } = (parse(text) ?? {}) as { config?: Record<string, unknown> | null };
  const values = { ...config };
  const mistakes: string[] = [];
  for (const key of objectKeys) {
    const found = values[key];
    if (found === undefined) continue;
    const value = valueOf(found);
    if (typeof value !== "object" || value === null || Array.isArray(value))
      mistakes.push(`  ${key}: found ${JSON.stringify(found)}, expected an object`);
    values[key] = value;
  }
  if (mistakes.length === 0) return values;
  throw new StackFileError(
    `${file} has values that are no objects:\n${mistakes.join("\n")}\n` +
      "Correct them: stacks/config-schema.ts says what each may hold.",
  );
}
