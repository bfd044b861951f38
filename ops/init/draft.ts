/** A configuration that is being made: what is set, what is answered, and what is wrong with the whole. */
import { type ConfigMistake, parseStackConfig, projectName, StackConfigError } from "../../stacks/config.ts";
import { secretsSchema } from "../../stacks/config-schema.ts";
import type { ConfigurationChange, StackConfigurationEntries } from "../engine/stack-configuration.ts";
import { fullKey, type Question } from "./questions.ts";

/** Name of a key and the way inside its value. */
export type KeyPath = readonly [string, ...string[]];

/** Where a value comes from. */
export type Source = "configured" | "answers" | "environment" | "detected" | "typed";

/** How far a question is answered. */
export type Answered =
  | { state: "set"; source: Source }
  | { state: "missing" }
  /** A configured value that does not do. No secret is in `allowed`. */
  | { state: "wrong"; allowed: string };

/** Whether a key's value is kept encrypted. */
export function isSecret(name: string): boolean {
  return name in secretsSchema.shape;
}

/** See the module's description. */
export class Draft {
  readonly stack: string;
  readonly #entries: Record<string, string>;
  readonly #secretKeys: Set<string>;
  /** Secrets that are there, but cannot be read without the passphrase. */
  readonly #locked: Set<string>;
  readonly #changes = new Map<string, { change: ConfigurationChange; source: Source }>();

  /** @param found what is configured; a secret key without an entry is one that cannot be decrypted yet */
  constructor(stack: string, { entries, secretKeys }: StackConfigurationEntries) {
    this.stack = stack;
    this.#entries = { ...entries };
    this.#secretKeys = new Set(secretKeys);
    this.#locked = new Set(secretKeys.filter((key) => entries[key] === undefined));
  }

  /** A value as it stands in the configuration; undefined when there is none. */
  get([name, ...inner]: KeyPath): unknown {
    const raw = this.#entries[`${projectName}:${name}`];
    if (raw === undefined || (inner.length === 0 && isSecret(name))) return raw;
    const value = parsed(raw);
    return inner.reduce<unknown>(
      (outer, step) =>
        typeof outer === "object" && outer !== null ? (outer as Record<string, unknown>)[step] : undefined,
      value,
    );
  }

  /** A value that is a text; undefined when it is none. */
  text(path: KeyPath): string | undefined {
    const value = this.get(path);
    return typeof value === "string" ? value : undefined;
  }

  /** A secret; empty when there is none. */
  secret(name: keyof typeof secretsSchema.shape): string {
    return this.#entries[`${projectName}:${name}`] ?? "";
  }

  /** Sets a value. What equals the configured one is no change. */
  set(path: KeyPath, value: unknown, source: Source): void {
    const [name, ...inner] = path;
    const key = `${projectName}:${name}`;
    const secret = isSecret(name);
    if (JSON.stringify(this.get(path)) === JSON.stringify(value) && (!secret || this.#secretKeys.has(key)))
      return;
    this.#entries[key] = replaced(this.#entries[key], inner, value);
    if (secret) this.#secretKeys.add(key);
    this.#locked.delete(key);
    this.#changes.set(path.join("."), { change: { path: [key, ...inner], value, secret }, source });
  }

  /** All that is to be written. */
  get changes(): readonly ConfigurationChange[] {
    return [...this.#changes.values()].map(({ change }) => change);
  }

  /** The names of secrets that stand in clear. */
  get secretsInClear(): string[] {
    return Object.keys(this.#entries)
      .filter((key) => key.startsWith(`${projectName}:`) && !this.#secretKeys.has(key))
      .map((key) => key.slice(projectName.length + 1))
      .filter(isSecret);
  }

  /** How far a question is answered. */
  answered(question: Question, mistakes: readonly ConfigMistake[] = this.mistakes()): Answered {
    const { path, isPlaceholder } = question;
    const key = fullKey(question);
    if (this.#locked.has(key)) return { state: "set", source: "configured" };
    const value = this.get(path);
    if (value === undefined || value === "" || isPlaceholder?.(value) === true) return { state: "missing" };
    const mistake = mistakes.find(({ key: wrong }) => isWithin(wrong, key));
    if (mistake !== undefined) return { state: "wrong", allowed: mistake.allowed };
    return { state: "set", source: this.#changes.get(path.join("."))?.source ?? "configured" };
  }

  /** Why a value would not do; undefined when it would. */
  objectionTo(question: Question, value: unknown): string | undefined {
    const tried = new Draft(this.stack, { entries: this.#entries, secretKeys: [...this.#secretKeys] });
    tried.set(question.path, value, "typed");
    if (question.isPlaceholder?.(value) === true)
      return "addresses that exist: these are reserved for documentation";
    return tried.mistakes().find(({ key }) => isWithin(key, fullKey(question)))?.allowed;
  }

  /** Everything that is wrong with the whole, what is missing among it; secrets that cannot be read yet are taken as right. */
  mistakes(): readonly ConfigMistake[] {
    try {
      parseStackConfig(this.#entries, { encryptedKeys: this.#secretKeys });
      return [];
    } catch (error) {
      if (!(error instanceof StackConfigError)) throw error;
      return error.mistakes.filter(({ key }) => !this.#locked.has(key));
    }
  }
}

/** Whether a mistake is about a key or about something inside its value. */
export function isWithin(mistake: string, key: string): boolean {
  return mistake === key || mistake.startsWith(`${key}.`) || mistake.startsWith(`${key}[`);
}

/** A value as it is kept: the text itself, or JSON. */
function parsed(raw: string): unknown {
  try {
    return JSON.parse(raw);
  } catch {
    return raw;
  }
}

/** A key's text with one value inside it replaced. */
function replaced(raw: string | undefined, inner: readonly string[], value: unknown): string {
  const last = inner.at(-1);
  if (last === undefined) return typeof value === "string" ? value : JSON.stringify(value);
  const found = raw === undefined ? {} : parsed(raw);
  const whole = (typeof found === "object" && found !== null && !Array.isArray(found) ? found : {}) as Record<
    string,
    unknown
  >;
  let at = whole;
  for (const step of inner.slice(0, -1)) {
    const next = at[step];
    at = (at[step] = typeof next === "object" && next !== null && !Array.isArray(next) ? next : {}) as Record<
      string,
      unknown
    >;
  }
  at[last] = value;
  return JSON.stringify(whole);
}
