/**
 * Which stack a command is about, and which Hetzner project it works on. The stack's values come from `Pulumi.<stack>.yaml` in
 * the working directory; the token comes from the environment only, since Pulumi keeps the stack's own encrypted.
 */
import { existsSync, readFileSync } from "node:fs";
import { type Command, InvalidArgumentError, Option } from "commander";
import { parse, YAMLParseError } from "yaml";
import { parseStackValues, StackConfigError } from "../../stacks/config.ts";
import { secretsSchema, type StackValues, valuesSchema } from "../../stacks/config-schema.ts";
import { UsageError } from "../run.ts";
import { HetznerClient, type HetznerClientArguments } from "./client.ts";

/** Hetzner's own. */
export const hetznerEndpoint = "https://api.hetzner.cloud/v1";

const environmentHelp = `
HCLOUD_TOKEN: API token (read and write) of the Hetzner Cloud project. The API: HCLOUD_ENDPOINT from the environment, or else
trading:hcloudEndpoint in Pulumi.<stack>.yaml, or else ${hetznerEndpoint}.`;

/** Says in a command's help where the project comes from. */
export function describeHetzner(command: Command): Command {
  return command.addHelpText("after", environmentHelp);
}

/** `--stack`, as all commands take it that only look or can be repeated. Default: `dev`. */
export function stackOption(): Option {
  return anyStack().default("dev");
}

/** `--stack` of a command that makes or removes a cluster: it has to be said. */
export function namedStackOption(): Option {
  return anyStack().makeOptionMandatory();
}

/** `--stack` where there is another way to say which. */
export function anyStack(): Option {
  return new Option("--stack <name>", "the stack: Pulumi.<name>.yaml").argParser((name: string) => {
    // Becomes a file name and a label value.
    if (!/^[a-z0-9][a-z0-9-]{0,39}$/.test(name))
      throw new InvalidArgumentError("Expected a stack's name, such as dev or prod.");
    return name;
  });
}

/**
 * Reads what `Pulumi.<stack>.yaml` says, without its secrets.
 * @throws UsageError with every mistake
 */
export function readStack(stack: string): StackValues {
  const file = `Pulumi.${stack}.yaml`;
  if (!existsSync(file))
    throw new UsageError(
      `There is no ${file} in ${process.cwd()}. Run the command where the stack's configuration lies, or name another --stack.`,
    );
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    throw new UsageError(`${file} cannot be read: ${(error as Error).message}`);
  }
  try {
    const { config } = (parse(text) ?? {}) as { config?: Record<string, unknown> };
    // As Pulumi hands values to its program: texts as they are, all others as JSON.
    const entries = Object.entries(config ?? {}).map(
      ([key, value]) => [key, typeof value === "string" ? value : JSON.stringify(value)] as const,
    );
    return parseStackValues(Object.fromEntries(entries));
  } catch (error) {
    if (error instanceof YAMLParseError) throw new UsageError(`${file} is no YAML: ${error.message}`);
    if (error instanceof StackConfigError) throw new UsageError(`${file}: ${error.message}`);
    throw error;
  }
}

/**
 * Makes the client of a stack's project; nothing is asked yet.
 * @param values as {@link readStack} reads them
 * @throws UsageError with everything that is missing or wrong
 */
export function openHetzner(
  values: Pick<StackValues, "hcloudEndpoint">,
  options: Pick<HetznerClientArguments, "signal" | "patience" | "report"> = {},
  environment: Readonly<Record<string, string | undefined>> = process.env,
): HetznerClient {
  const given = environment["HCLOUD_ENDPOINT"];
  const wanted = given === undefined || given === "" ? values.hcloudEndpoint : given;
  const token = secretsSchema.shape.hcloudToken.safeParse(environment["HCLOUD_TOKEN"] ?? "");
  const endpoint = valuesSchema.shape.hcloudEndpoint.safeParse(wanted);
  const mistakes = [
    ...(token.success
      ? []
      : [
          `  HCLOUD_TOKEN: ${environment["HCLOUD_TOKEN"] ? "is not" : "is missing; expected"} ${token.error.issues[0]?.message}`,
        ]),
    ...(endpoint.success
      ? []
      : [
          `  HCLOUD_ENDPOINT: found ${JSON.stringify(wanted)}, expected ${endpoint.error.issues[0]?.message}`,
        ]),
  ];
  if (!token.success || !endpoint.success)
    throw new UsageError(
      `It is not known which Hetzner project to use:\n${mistakes.join("\n")}\nSet these variables; the stack's own token is encrypted and not read here.`,
    );
  return new HetznerClient({ endpoint: endpoint.data ?? hetznerEndpoint, token: token.data, ...options });
}

/** Selects what belongs to a stack. */
export function stackSelector(stack: string): string {
  return `project=trading,stack=${stack}`;
}
