/**
 * The configuration of a stack that Pulumi runs: `Pulumi.<stack>.yaml`. The Pulumi CLI encrypts and decrypts, in a folder
 * and with a backend of its own that are thrown away; what it made is then put into the file, whose comments stay.
 * Secrets go to the CLI on standard input: the Automation API's `setConfig` would show them to whoever lists processes.
 */
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { type Document, isMap, parseDocument } from "yaml";
import { PulumiCommandError, runPulumi } from "./pulumi-command.ts";
import { replaceFile } from "./replace-file.ts";
import type {
  ConfigurationChange,
  Passphrase,
  StackConfigurationEntries,
  StackConfigurationStore,
} from "./stack-configuration.ts";
import { type StackEngineArguments, StackEngineError, StackUnavailableError } from "./stack-engine.ts";

/** What the file of a new stack begins with. */
const newFile =
  "# Every key and its default is described in stacks/config-schema.ts; a mistake is reported with what is allowed.\nconfig: {}\n";

/** One command of the CLI works on files of this machine, or on the backend once. */
const commandTimeoutMs = 120_000;

/**
 * Opens the configuration of a stack.
 * @throws StackUnavailableError where there is no usable CLI, no backend, or secrets that Pulumi Cloud encrypts
 */
export async function openPulumiConfiguration(args: StackEngineArguments): Promise<StackConfigurationStore> {
  const file = path.join(args.projectDirectory, `Pulumi.${args.stack}.yaml`);
  const { document, text } = await readDocument(file);
  const isEncrypted = [...secureKeys(document)].length > 0;
  const provider = document.get("secretsprovider") ?? document.get("encryptedkey");
  if (isEncrypted && provider === undefined && document.get("encryptionsalt") === undefined) {
    throw new StackUnavailableError(
      `The secrets in ${path.basename(file)} are encrypted by Pulumi Cloud, which this command does not use. Set values with ` +
        "`pulumi config set --secret`, or change to a passphrase with `pulumi stack change-secrets-provider passphrase`.",
    );
  }
  const given =
    (args.environment["PULUMI_CONFIG_PASSPHRASE"] ?? "") !== "" ||
    (args.environment["PULUMI_CONFIG_PASSPHRASE_FILE"] ?? "") !== "";
  const passphrase: Passphrase =
    provider !== undefined && provider !== "passphrase"
      ? "none"
      : given
        ? "given"
        : document.get("encryptionsalt") === undefined
          ? "to be chosen"
          : "missing";
  await demandBackend(args);
  return new PulumiConfiguration(args, file, document, text, passphrase);
}

async function readDocument(file: string): Promise<{ document: Document; text: string | undefined }> {
  const text = await readFile(file, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw new StackEngineError(`${file} cannot be read: ${error.message}`, [], { cause: error });
  });
  const document = parseDocument(text ?? newFile);
  const [mistake] = document.errors;
  if (mistake !== undefined)
    throw new StackEngineError(`${path.basename(file)} is no YAML: ${mistake.message}`);
  const config = document.get("config");
  if (config == null) document.set("config", document.createNode({}));
  else if (!isMap(config))
    throw new StackEngineError(
      `${path.basename(file)}: "config" is not a map; expected keys such as trading:adminCidrs`,
    );
  // An empty map is written with braces, and so is what is put into it.
  const made = document.get("config");
  if (isMap(made) && made.items.length === 0) made.flow = false;
  return { document, text };
}

/** Keys whose values are encrypted. */
function* secureKeys(document: Document): Generator<string> {
  const { config } = (document.toJS() ?? {}) as { config?: Record<string, unknown> | null };
  for (const [key, value] of Object.entries(config ?? {}))
    if (typeof value === "object" && value !== null && "secure" in value) yield key;
}

/** Nothing is asked of a person, and nothing written, before it is known that the CLI can reach the backend. */
async function demandBackend(args: StackEngineArguments): Promise<void> {
  try {
    await pulumi(["whoami"], args.projectDirectory, args.environment);
  } catch (error) {
    throw new StackUnavailableError(
      `The Pulumi CLI has no backend for the stack's state: ${(error as Error).message}\n` +
        "Log in to one: `pulumi login --local` for one person on this machine, or set PULUMI_BACKEND_URL.",
      [],
      { cause: error },
    );
  }
}

class PulumiConfiguration implements StackConfigurationStore {
  readonly description: string;
  readonly secretsAre = "encrypted";
  readonly passphrase: Passphrase;
  readonly #args: StackEngineArguments;
  readonly #file: string;
  readonly #document: Document;
  readonly #text: string | undefined;

  constructor(
    args: StackEngineArguments,
    file: string,
    document: Document,
    text: string | undefined,
    passphrase: Passphrase,
  ) {
    this.#args = args;
    this.#file = file;
    this.#document = document;
    this.#text = text;
    this.passphrase = passphrase;
    this.description = path.relative(process.cwd(), file) || file;
  }

  async read(): Promise<StackConfigurationEntries> {
    const secretKeys = [...secureKeys(this.#document)];
    const { config } = (this.#document.toJS() ?? {}) as { config?: Record<string, unknown> | null };
    const entries = Object.fromEntries(
      Object.entries(config ?? {})
        .filter(([key]) => !secretKeys.includes(key))
        .map(([key, value]) => [key, typeof value === "string" ? value : JSON.stringify(value)] as const),
    );
    if (secretKeys.length === 0) return { entries, secretKeys };
    if (this.passphrase === "missing") return { entries, secretKeys };
    const shown = await this.#inWorkshop(this.#text ?? "", (workshop) => workshop.show());
    for (const key of secretKeys) entries[key] = shown[key] ?? "";
    return { entries, secretKeys };
  }

  async write(changes: readonly ConfigurationChange[], progress: (line: string) => void): Promise<void> {
    if (this.passphrase === "missing" || this.passphrase === "to be chosen")
      throw new StackEngineError("The stack's passphrase is not known: set PULUMI_CONFIG_PASSPHRASE.");
    await this.#inWorkshop(this.#text ?? newFile, async (workshop) => {
      const secrets = changes.filter(({ secret }) => secret);
      for (const [
        index,
        {
          path: [key],
          value,
        },
      ] of secrets.entries()) {
        progress(`Encrypting ${index + 1} of ${secrets.length}: ${key}`);
        await workshop.set(key, String(value));
      }
      const encrypted = parseDocument(await workshop.text());
      for (const { path: steps, value, secret } of changes) {
        const found: unknown = secret ? encrypted.getIn(["config", steps[0], "secure"]) : value;
        setIn(this.#document, steps, secret ? { secure: found } : found);
      }
      // What decrypts: all that the CLI wrote beside the configuration itself.
      for (const [key, value] of Object.entries(encrypted.toJS() as Record<string, unknown>))
        if (key !== "config") this.#document.set(key, value);
      const text = this.#document.toString({ lineWidth: 0, flowCollectionPadding: false });
      await workshop.check(text, changes);
      progress(`Making sure that the backend has the stack ${this.#args.stack}`);
      await workshop.demandStack();
      await this.#demandUnchanged();
      await replaceFile(this.#file, text);
    });
  }

  /** Questions take minutes, in which an editor or Git may have changed the file. */
  async #demandUnchanged(): Promise<void> {
    const { text } = await readDocument(this.#file);
    if (text === this.#text) return;
    throw new StackEngineError(
      `${this.description} was changed meanwhile. Nothing was written: run this again, it begins with the file as it is now.`,
    );
  }

  async #inWorkshop<T>(text: string, work: (workshop: Workshop) => Promise<T>): Promise<T> {
    const directory = await mkdtemp(path.join(tmpdir(), "trading-config-"));
    try {
      const workshop = new Workshop(this.#args, directory);
      await workshop.begin(text);
      return await work(workshop);
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  }
}

/** Sets a value without touching the comments around it. */
function setIn(document: Document, steps: readonly [string, ...string[]], value: unknown): void {
  // An object that `pulumi config set` wrote as JSON text becomes one that has room for its parts.
  for (let depth = 1; depth < steps.length; depth += 1) {
    const outer = ["config", ...steps.slice(0, depth)];
    const found: unknown = document.getIn(outer);
    if (isMap(found)) continue;
    let parsed: unknown;
    try {
      parsed = typeof found === "string" ? JSON.parse(found) : undefined;
    } catch {
      parsed = undefined;
    }
    const isObject = typeof parsed === "object" && parsed !== null && !Array.isArray(parsed);
    document.setIn(outer, document.createNode(isObject ? parsed : {}));
  }
  document.setIn(
    ["config", ...steps],
    typeof value === "object" && value !== null ? document.createNode(value) : value,
  );
}

/** A folder with a copy of the stack's file, and a backend that knows nothing but this stack. */
class Workshop {
  readonly #args: StackEngineArguments;
  readonly #directory: string;
  readonly #environment: Readonly<Record<string, string | undefined>>;

  constructor(args: StackEngineArguments, directory: string) {
    this.#args = args;
    this.#directory = directory;
    this.#environment = {
      ...args.environment,
      PULUMI_BACKEND_URL: `file://${path.join(directory, "backend")}`,
      PULUMI_HOME: path.join(directory, "home"),
    };
  }

  get #file(): string {
    return path.join(this.#directory, `Pulumi.${this.#args.stack}.yaml`);
  }

  /** @throws StackEngineError also when the passphrase is wrong */
  async begin(text: string): Promise<void> {
    await mkdir(path.join(this.#directory, "backend"));
    const project = parseDocument(
      await readFile(path.join(this.#args.projectDirectory, "Pulumi.yaml"), "utf8"),
    );
    const name = String(project.get("name"));
    await writeFile(path.join(this.#directory, "Pulumi.yaml"), `name: ${name}\nruntime: nodejs\n`);
    await writeFile(this.#file, text, { mode: 0o600 });
    await this.#run(["stack", "init", this.#args.stack, "--no-select", ...this.#provider(text)]);
  }

  #provider(text: string): string[] {
    const named: unknown = parseDocument(text).get("secretsprovider");
    return typeof named === "string" ? ["--secrets-provider", named] : ["--secrets-provider", "passphrase"];
  }

  text(): Promise<string> {
    return readFile(this.#file, "utf8");
  }

  async set(key: string, value: string): Promise<void> {
    await this.#run(["config", "set", "--secret", key, "--stack", this.#args.stack], value);
  }

  /** All values, decrypted. */
  async show(): Promise<Record<string, string>> {
    const shown = JSON.parse(
      await this.#run(["config", "--show-secrets", "--json", "--stack", this.#args.stack]),
    ) as Record<string, { value?: string }>;
    return Object.fromEntries(Object.entries(shown).map(([key, { value = "" }]) => [key, value]));
  }

  /** Reads the finished text back before it takes the file's place. */
  async check(text: string, changes: readonly ConfigurationChange[]): Promise<void> {
    await writeFile(this.#file, text, { mode: 0o600 });
    const shown = await this.show();
    const wrong = changes.filter(
      ({ path: [key], value, secret }) => secret && shown[key] !== String(value).replace(/\n$/, ""),
    );
    if (wrong.length === 0) return;
    const keys = wrong.map(({ path: [key] }) => key).join(", ");
    throw new StackEngineError(
      `The Pulumi CLI did not read back what it had encrypted: ${keys}. Nothing was written.`,
    );
  }

  /** Makes the stack in the backend that the user has set up, if it is not there. */
  async demandStack(): Promise<void> {
    const { stack, environment } = this.#args;
    // The CLI would write the file anew, so it gets the copy, which is at its end by now.
    const run = (command: string[]) => pulumi(command, this.#directory, environment);
    const listed = JSON.parse(await run(["stack", "ls", "--json"])) as { name: string }[];
    // Pulumi Cloud puts the organisation before it.
    if (listed.some(({ name }) => name === stack || name.endsWith(`/${stack}`))) return;
    await run(["stack", "init", stack, "--no-select", ...this.#provider(await this.text())]);
  }

  #run(command: string[], input?: string): Promise<string> {
    return pulumi(command, this.#directory, this.#environment, input);
  }
}

/** Runs one command of the CLI. @param input what it reads @returns its standard output @throws StackEngineError */
async function pulumi(
  command: string[],
  cwd: string,
  environment: Readonly<Record<string, string | undefined>>,
  input?: string,
): Promise<string> {
  try {
    return await runPulumi(command, { cwd, environment, input, timeoutMs: commandTimeoutMs });
  } catch (error) {
    if (!(error instanceof PulumiCommandError) || !/incorrect passphrase/.test(error.said)) throw error;
    throw new StackEngineError(
      "The passphrase does not open the stack's secrets (PULUMI_CONFIG_PASSPHRASE, or the file that PULUMI_CONFIG_PASSPHRASE_FILE names).",
      [],
      { cause: error },
    );
  }
}
