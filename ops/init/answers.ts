/** Answers that are given beforehand, for scripts: a file, or standard input. */
import { readFile } from "node:fs/promises";
import { parseDocument } from "yaml";
import { projectName } from "../../stacks/config.ts";
import { UsageError } from "../run.ts";
import { isSecret, type KeyPath } from "./draft.ts";

/** One value. */
export interface GivenAnswer {
  path: KeyPath;
  value: unknown;
}

/**
 * Reads answers: YAML or JSON with the keys of the stack's configuration, with or without `trading:`. Objects are laid over
 * what is configured, everything else takes its place.
 * @param source a file, or `-` for standard input, which alone may hold secrets: files end up in Git and in backups
 * @throws UsageError with everything that is wrong
 */
export async function readAnswers(
  source: string,
  stdin: AsyncIterable<Buffer | string>,
): Promise<GivenAnswer[]> {
  const name = source === "-" ? "standard input" : source;
  let text: string;
  try {
    text = source === "-" ? await textOf(stdin) : await readFile(source, "utf8");
  } catch (error) {
    throw new UsageError(`--answers: ${name} cannot be read: ${(error as Error).message}`);
  }
  const document = parseDocument(text);
  const [mistake] = document.errors;
  // What a parser says shows the line that it stumbled over: perhaps a secret.
  if (mistake !== undefined)
    throw new UsageError(
      `--answers: ${name} is neither YAML nor JSON (line ${mistake.linePos?.[0].line ?? "?"}).`,
    );
  const given: unknown = document.toJS() ?? {};
  if (typeof given !== "object" || given === null || Array.isArray(given))
    throw new UsageError(`--answers: ${name} must be a map of configuration keys, such as adminCidrs.`);
  const mistakes: string[] = [];
  const answers = Object.entries(given).flatMap(([key, value]: [string, unknown]) => {
    const top = key.startsWith(`${projectName}:`) ? key.slice(projectName.length + 1) : key;
    if (isSecret(top)) {
      if (source !== "-")
        mistakes.push(`  ${key}: a secret; give it in the environment or on standard input`);
      else if (typeof value !== "string") mistakes.push(`  ${key}: expected a text`);
      return [{ path: [top] as KeyPath, value }];
    }
    return [...leaves([top], value)];
  });
  if (mistakes.length > 0) throw new UsageError(`--answers: ${name} cannot be used:\n${mistakes.join("\n")}`);
  return answers;
}

function* leaves(path: KeyPath, value: unknown): Generator<GivenAnswer> {
  const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
  const inner = isObject ? Object.entries(value) : [];
  if (inner.length === 0) yield { path, value };
  for (const [step, part] of inner) yield* leaves([...path, step], part);
}

async function textOf(stream: AsyncIterable<Buffer | string>): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks).toString("utf8");
}
