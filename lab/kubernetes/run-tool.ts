/** Runs a tool that fetches or builds something for the control plane, within a deadline. */
import { once } from "node:events";
import type { ProcessRegistry } from "../processes.ts";
import { ControlPlaneError, ControlPlaneUnavailableError } from "./errors.ts";

export interface Tool {
  /** For people, and in the list of running processes. */
  name: string;
  command: string;
  args: readonly string[];
  directory: string;
  environment?: Readonly<Record<string, string>>;
  deadlineMs: number;
  /** What to do when the command is not there at all. */
  install: string;
  /**
   * By what its words show, when it fails, that this machine cannot have it: it is not there, or too old, or what it fetches
   * cannot be reached. A tool with this may also be late for that reason. Default: nothing; every failure is an error of ours.
   */
  unavailable?: RegExp;
  registry: ProcessRegistry;
  /** Ends the tool early. */
  signal?: AbortSignal | undefined;
  /** Told each line that the tool writes to its standard error. */
  onLine?: (line: string) => void;
}

/** By what Go and Maven say that a registry cannot be reached. A version or sum that a registry does not know is an error of ours. */
const unreachable =
  /dial tcp|no such host|connection (refused|reset)|i\/o timeout|TLS handshake|Bad Gateway|Service Unavailable|Gateway Time-?out|Too Many Requests|Unknown host|Connect(ion)? timed out|Could not transfer artifact/i;

/** {@link Tool.unavailable} of a `go` that fetches modules; `nice` says the second, Go itself the third. */
export const goUnavailable = new RegExp(
  `${unreachable.source}|nice: .*No such file or directory|requires go >= `,
  "i",
);

/** {@link Tool.unavailable} of Maven. */
export const mavenUnavailable = unreachable;

/** Lines of a tool's last words that go into an error. */
const lastWords = 15;

/**
 * @returns what the tool wrote to its standard output.
 * @throws ControlPlaneUnavailableError when it cannot be started or this machine cannot have it, ControlPlaneError when it fails
 *   otherwise; with its last words.
 */
export async function runTool(tool: Tool): Promise<string> {
  const environment = { ...process.env, ...tool.environment };
  const running = await tool.registry
    .start(tool.name, tool.command, tool.args, {
      cwd: tool.directory,
      env: environment,
      stdio: ["ignore", "pipe", "pipe"],
    })
    .catch((error: unknown) => {
      throw new ControlPlaneUnavailableError(`${String(error)}. ${tool.install}`);
    });
  let output = "";
  let rest = "";
  const said: string[] = [];
  running.child.stdout?.setEncoding("utf8").on("data", (chunk: string) => (output += chunk));
  running.child.stderr?.setEncoding("utf8").on("data", (chunk: string) => {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      said.push(line);
      if (said.length > lastWords) said.shift();
      tool.onLine?.(line);
    }
  });
  const closed = once(running.child, "close");
  const ended = AbortSignal.any([
    AbortSignal.timeout(tool.deadlineMs),
    ...(tool.signal === undefined ? [] : [tool.signal]),
  ]);
  const code = await Promise.race([
    running.exited,
    ended.aborted ? ("ended" as const) : once(ended, "abort").then(() => "ended" as const),
  ]);
  if (code === "ended") await running.stop(1_000);
  await closed;
  if (code === 0) return output;
  tool.signal?.throwIfAborted();
  const how = code === "ended" ? `not done after ${tool.deadlineMs / 1_000} s` : `exit code ${code}`;
  const words = [...said, rest, output.trim()].filter((line) => line !== "").slice(-lastWords);
  const message = `${tool.name}: \`${tool.command} ${tool.args.slice(0, 4).join(" ")} …\` failed (${how}). It said:\n  ${words.join("\n  ")}`;
  const { unavailable } = tool;
  const cannotBeHad = unavailable !== undefined && (code === "ended" || unavailable.test(words.join("\n")));
  throw cannotBeHad
    ? new ControlPlaneUnavailableError(`${message}\n${tool.install}`)
    : new ControlPlaneError(message);
}
