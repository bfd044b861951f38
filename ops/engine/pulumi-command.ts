/**
 * Single commands of the Pulumi CLI whose input or output may hold a state or secrets. The Automation API puts a state that
 * it imports, secrets in clear, into a file that everybody may read, and what a command printed into its errors. Here a text
 * goes in on standard input, and an error says what the command said on standard error, no more.
 */
import { execFile } from "node:child_process";
import { StackEngineError } from "./stack-engine.ts";

/** A state of a stack is a few MB at most. */
const mostOutput = 256 * 1024 * 1024;

/** How a command is run. */
export interface PulumiCommandArguments {
  cwd: string;
  /** All of its environment; the CLI is looked for on this PATH. */
  environment: Readonly<Record<string, string | undefined>>;
  /** What it reads. Default: nothing. */
  input?: string | undefined;
  /** After which it is ended, in ms. Default: never. */
  timeoutMs?: number | undefined;
}

/** A command that failed. */
export class PulumiCommandError extends StackEngineError {
  override readonly name = "PulumiCommandError";
  /** Its standard error, or how it ended when it said nothing. */
  readonly said: string;

  constructor(command: readonly string[], said: string) {
    super(`\`pulumi ${command.slice(0, 2).join(" ")}\` failed: ${said}`);
    this.said = said;
  }
}

/** Runs one command. @returns its standard output @throws PulumiCommandError */
export function runPulumi(
  command: readonly string[],
  { cwd, environment, input = "", timeoutMs = 0 }: PulumiCommandArguments,
): Promise<string> {
  const env = { PULUMI_SKIP_UPDATE_CHECK: "true", ...environment };
  return new Promise((resolve, reject) => {
    const child = execFile(
      "pulumi",
      [...command, "--non-interactive", "--color", "never"],
      { cwd, env, timeout: timeoutMs, maxBuffer: mostOutput },
      (error, stdout, stderr) => {
        if (error === null) resolve(stdout);
        else reject(new PulumiCommandError(command, saidBy({ stderr, ...endOf(error) })));
      },
    );
    // It may end without reading.
    child.stdin?.on("error", () => undefined);
    child.stdin?.end(input);
  });
}

function endOf(error: Error): { code?: number; otherwise?: string } {
  const { code, signal } = error as { code?: unknown; signal?: unknown };
  if (typeof code === "number") return { code };
  return { otherwise: typeof signal === "string" ? `it was ended by ${signal}` : error.message };
}

/** What a command that failed says to people, without what it printed on standard output. */
function saidBy({
  stderr,
  code,
  otherwise,
}: {
  stderr: string;
  code?: number;
  otherwise?: string | undefined;
}): string {
  const said = stderr.trim().replace(/^error: /, "");
  return said === "" ? (otherwise ?? `it ended with code ${String(code)}, and said nothing`) : said;
}

/** What the Automation API keeps of a command. Of one that failed, `stderr` is execa's message, with standard output in it. */
interface CommandResult {
  code?: number;
  stderr?: string;
  err?: { stderr?: string; shortMessage?: string };
}

/** The message of any error, without what a command of the Automation API printed on standard output. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { commandResult } = error as { commandResult?: CommandResult };
  if (commandResult === undefined) return error.message;
  const { err, stderr = "", code = -1 } = commandResult;
  return saidBy({
    stderr: err === undefined ? stderr : (err.stderr ?? ""),
    code,
    otherwise: err?.shortMessage,
  });
}

/** An error as the cause of another one: {@link messageOf} is all that is left of a command's. */
export function causeOf(error: unknown): unknown {
  const isCommand = error instanceof Error && "commandResult" in error;
  return isCommand ? new Error(messageOf(error)) : error;
}
