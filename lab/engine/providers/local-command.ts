/** `command.local.Command`: a shell command on this machine for create, update and delete. */
import { randomBytes } from "node:crypto";
import path from "node:path";
import type { Readable } from "node:stream";
import { z } from "zod";
import { ProviderError } from "../errors.ts";
import type { PropertyMap } from "../properties.ts";
import { anyValue, type OperationContext, type ResourceDefinition } from "../provider.ts";

/** Inputs that local and remote commands share. */
export const commonInputs = {
  create: z.string().optional(),
  update: z.string().optional(),
  delete: z.string().optional(),
  stdin: z.string().optional(),
  environment: z.record(z.string(), z.string()).optional(),
  triggers: z.array(anyValue).optional(),
  logging: z.enum(["stdout", "stderr", "stdoutAndStderr", "none"]).optional(),
  addPreviousOutputInEnv: z.boolean().optional(),
};

const schema = z.strictObject({
  ...commonInputs,
  dir: z.string().optional(),
  interpreter: z.array(z.string()).min(1).optional(),
});

/** What a command printed, without the last newline. */
export interface CommandOutput {
  stdout: string;
  stderr: string;
}

/** The environment that a command gets from its own inputs and from its last run. */
export function commandEnvironment(
  inputs: PropertyMap,
  previous: Partial<CommandOutput>,
): Record<string, string> {
  const before =
    inputs["addPreviousOutputInEnv"] === false
      ? {}
      : {
          ...(previous.stdout ? { PULUMI_COMMAND_STDOUT: previous.stdout } : {}),
          ...(previous.stderr ? { PULUMI_COMMAND_STDERR: previous.stderr } : {}),
        };
  return { ...((inputs["environment"] as Record<string, string> | undefined) ?? {}), ...before };
}

/** The last lines of what a command printed, for an error message. */
export function lastLines(text: string, count = 40): string {
  return text.trimEnd().split("\n").slice(-count).join("\n");
}

/** Collects both streams: each by itself, and both as they came. */
export class OutputCollector {
  #stdout = "";
  #stderr = "";
  #both = "";
  readonly #onLine: (stream: "stdout" | "stderr", line: string) => void;
  readonly #rest = { stdout: "", stderr: "" };

  /** @param onLine called for each whole line */
  constructor(onLine: (stream: "stdout" | "stderr", line: string) => void) {
    this.#onLine = onLine;
  }

  add(stream: "stdout" | "stderr", text: string): void {
    if (stream === "stdout") this.#stdout += text;
    else this.#stderr += text;
    this.#both += text;
    const lines = (this.#rest[stream] + text).split("\n");
    this.#rest[stream] = lines.pop() ?? "";
    for (const line of lines) this.#onLine(stream, line);
  }

  get both(): string {
    return this.#both;
  }

  get output(): CommandOutput {
    return { stdout: this.#stdout.replace(/\n$/, ""), stderr: this.#stderr.replace(/\n$/, "") };
  }
}

/** Whether a line of a stream is to be shown while the command runs. */
export function isLogged(inputs: PropertyMap, stream: "stdout" | "stderr"): boolean {
  const logging = inputs["logging"] ?? "stdoutAndStderr";
  return logging === "stdoutAndStderr" || logging === stream;
}

async function run(
  command: string,
  inputs: PropertyMap,
  previous: Partial<CommandOutput>,
  context: OperationContext,
): Promise<CommandOutput> {
  context.signal.throwIfAborted();
  const interpreter = (inputs["interpreter"] as string[] | undefined) ?? ["/bin/sh", "-c"];
  const [program = "/bin/sh", ...before] = interpreter;
  const directory = typeof inputs["dir"] === "string" ? inputs["dir"] : ".";
  const running = await context.processes.start("local-command", program, [...before, command], {
    cwd: path.resolve(context.workingDirectory, directory),
    env: { ...context.environment, ...commandEnvironment(inputs, previous) },
    stdio: ["pipe", "pipe", "pipe"],
  });
  const stop = (): void => void running.stop();
  context.signal.addEventListener("abort", stop, { once: true });
  if (context.signal.aborted) stop();
  const collected = new OutputCollector((stream, line) => {
    if (isLogged(inputs, stream)) context.log("info", line);
  });
  const { child } = running;
  const read = (stream: Readable | null, name: "stdout" | "stderr"): void => {
    stream?.setEncoding("utf8").on("data", (text: string) => collected.add(name, text));
  };
  read(child.stdout, "stdout");
  read(child.stderr, "stderr");
  // A command that does not read its input closes the pipe; that is its right.
  child.stdin?.on("error", () => undefined);
  child.stdin?.end(typeof inputs["stdin"] === "string" ? inputs["stdin"] : "");
  // "close", not "exit": only then has all output been read.
  const code = await new Promise<number | null>((resolve) => child.once("close", (exit) => resolve(exit)));
  context.signal.removeEventListener("abort", stop);
  context.signal.throwIfAborted();
  if (code !== 0) {
    const end = code === null ? "was ended by a signal" : `exited with ${code}`;
    throw new ProviderError("command-failed", `the command ${end}: ${command}\n${lastLines(collected.both)}`);
  }
  return collected.output;
}

const none: CommandOutput = { stdout: "", stderr: "" };

function outputOf(outputs: PropertyMap): Partial<CommandOutput> {
  const { stdout, stderr } = outputs;
  return {
    ...(typeof stdout === "string" ? { stdout } : {}),
    ...(typeof stderr === "string" ? { stderr } : {}),
  };
}

/**
 * A command with its outputs, over whatever runs it.
 * @param execute runs one command
 */
export function commandResource(
  inputs: z.ZodType,
  execute: (
    command: string,
    inputs: PropertyMap,
    previous: Partial<CommandOutput>,
    context: OperationContext,
  ) => Promise<CommandOutput>,
): ResourceDefinition {
  return {
    inputs,
    replaceOn: ["triggers"],
    secretsSpread: true,
    unknownBeforeUpdate: ["stdout", "stderr"],
    create: async (values, context) => {
      const command = values["create"];
      const output = typeof command === "string" ? await execute(command, values, {}, context) : none;
      return { id: `command${randomBytes(4).toString("hex")}`, outputs: { ...values, ...output } };
    },
    update: async (recorded, values, context) => {
      const command = values["update"] ?? values["create"];
      const previous = outputOf(recorded.outputs);
      const output =
        typeof command === "string"
          ? await execute(command, values, previous, context)
          : { ...none, ...previous };
      return { ...values, ...output };
    },
    delete: async (recorded, context) => {
      const command = recorded.inputs["delete"];
      if (typeof command === "string") {
        await execute(command, recorded.inputs, outputOf(recorded.outputs), context);
      }
    },
  };
}

export const localCommand = commandResource(schema, run);
