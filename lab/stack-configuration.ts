/**
 * Sets up the configuration that the lab's engine runs a stack with: the JSON file that `LAB_STACK_CONFIG` names
 * (lab/stack-engine.ts). It begins with what `Pulumi.<stack>.yaml` says in clear, and holds secrets: mode 0600.
 */
import { mkdir, readFile } from "node:fs/promises";
import path from "node:path";
import { parse } from "yaml";
import { replaceFile } from "../ops/engine/replace-file.ts";
import type {
  ConfigurationChange,
  StackConfigurationEntries,
  StackConfigurationStore,
} from "../ops/engine/stack-configuration.ts";
import {
  type StackEngineArguments,
  StackEngineError,
  StackUnavailableError,
} from "../ops/engine/stack-engine.ts";
import type { StackConfiguration } from "./day/stack-config.ts";

/** See the module's description. @throws StackUnavailableError when the variable is not set. */
export async function openStackConfiguration(args: StackEngineArguments): Promise<StackConfigurationStore> {
  const named = args.environment["LAB_STACK_CONFIG"] ?? "";
  if (named === "") {
    throw new StackUnavailableError(
      "The lab's engine needs LAB_STACK_CONFIG in the environment (lab/stack-engine.ts says what it is).",
    );
  }
  const file = path.resolve(args.projectDirectory, named);
  const read = async (): Promise<StackConfigurationEntries> => {
    const text = await textOf(file);
    if (text !== undefined) {
      const { values, secretKeys } = JSON.parse(text) as StackConfiguration;
      return { entries: { ...values }, secretKeys: [...secretKeys] };
    }
    const stackFile = await textOf(path.join(args.projectDirectory, `Pulumi.${args.stack}.yaml`));
    const { config } = (parse(stackFile ?? "") ?? {}) as { config?: Record<string, unknown> | null };
    const inClear = Object.entries(config ?? {}).filter(
      ([, value]) => !(typeof value === "object" && value !== null && "secure" in value),
    );
    return {
      entries: Object.fromEntries(
        inClear.map(([key, value]) => [key, typeof value === "string" ? value : JSON.stringify(value)]),
      ),
      secretKeys: [],
    };
  };
  return {
    description: path.relative(process.cwd(), file) || file,
    secretsAre: "in clear, readable by you alone",
    passphrase: "none",
    read,
    write: async (changes, progress) => {
      progress(`Writing ${file}`);
      const { entries, secretKeys } = await read();
      const secrets = new Set(secretKeys);
      for (const change of changes) {
        const [key] = change.path;
        entries[key] = changed(entries[key], change);
        if (change.secret) secrets.add(key);
      }
      await mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
      const written: StackConfiguration = { values: entries, secretKeys: [...secrets] };
      await replaceFile(file, `${JSON.stringify(written, null, 2)}\n`, 0o600);
    },
  };
}

async function textOf(file: string): Promise<string | undefined> {
  return readFile(file, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw new StackEngineError(`${file} cannot be read: ${error.message}`, [], { cause: error });
  });
}

/** A key's new text. */
function changed(former: string | undefined, { path: [, ...inner], value }: ConfigurationChange): string {
  if (inner.length === 0) return typeof value === "string" ? value : JSON.stringify(value);
  const whole = (former === undefined ? {} : JSON.parse(former)) as Record<string, unknown>;
  const last = inner.pop() as string;
  let at = whole;
  for (const step of inner) at = (at[step] ??= {}) as Record<string, unknown>;
  at[last] = value;
  return JSON.stringify(whole);
}
