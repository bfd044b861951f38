/** Runs the Pulumi program in its own process, as the Pulumi CLI's Node.js language host does. */
import { createRequire } from "node:module";
import path from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import type { ProcessRegistry } from "../processes.ts";
import { ConfigurationError } from "./errors.ts";
import type { Project } from "./project.ts";

/** How the program is to be run. */
export interface ProgramOptions {
  project: Project;
  stack: string;
  /** Full keys, `<project>:<key>`. */
  config: Readonly<Record<string, string>>;
  secretKeys: readonly string[];
  /** Address of the monitor and engine services. */
  address: string;
  parallel: number;
  /** The program is told that nothing is done: a preview. */
  dryRun: boolean;
  environment: Readonly<Record<string, string>>;
  processes: ProcessRegistry;
  onLine: (source: "stdout" | "stderr", line: string) => void;
}

/** The running program. */
export interface Program {
  /** Exit code, null when a signal ended it; its output has been read to the end. */
  readonly ended: Promise<number | null>;
  /** Ends it: SIGTERM, then SIGKILL. */
  stop(graceMs?: number): Promise<void>;
}

/**
 * Loaded before the program:
 *
 * - `util.inspect` without colours. The SDK prints a program's error with colours, and Node 20.20 then loops for a minute on
 *   a stack line such as `node_modules/@pulumi/resource.ts:1` (a scope without a package, which the SDK's source maps
 *   produce), until the text is too long. The lines are not for a terminal anyway.
 * - An end when nobody reads its output, because the engine was killed. The SDK's handler of uncaught errors would print the
 *   broken pipe to the broken pipe for ever, a core and gigabytes of memory for it (pulumi/cmd/run, with 3.248).
 */
const preload = `data:text/javascript,${encodeURIComponent(`
  import util from "node:util";
  util.inspect = new Proxy(util.inspect, {
    apply: (inspect, self, [value, options, ...rest]) =>
      Reflect.apply(inspect, self, [
        value,
        typeof options === "object" && options !== null ? { ...options, colors: false } : options,
        ...rest,
      ]),
  });
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => process.exit(1));
`)}`;

/** Path of `@pulumi/pulumi/cmd/run` as the program itself would find it. */
function runner(project: Project): string {
  try {
    return createRequire(path.join(project.root, "package.json")).resolve("@pulumi/pulumi/cmd/run/index.js");
  } catch {
    throw new ConfigurationError(project.root, ["@pulumi/pulumi is not installed here; run npm install"]);
  }
}

function lines(stream: Readable | null, onLine: (line: string) => void): Promise<void> {
  if (stream === null) return Promise.resolve();
  const reader = createInterface({ input: stream, crlfDelay: Infinity });
  reader.on("line", onLine);
  return new Promise((resolve) => reader.once("close", resolve));
}

/** Starts the program. */
export async function startProgram(options: ProgramOptions): Promise<Program> {
  const { project, stack, config, secretKeys, address, parallel, environment } = options;
  const running = await options.processes.start(
    `pulumi-program-${stack}`,
    process.execPath,
    [
      `--import=${preload}`,
      ...project.nodeArguments,
      runner(project),
      `--monitor=${address}`,
      `--engine=${address}`,
      "--organization=organization",
      `--project=${project.name}`,
      `--root-directory=${project.root}`,
      `--stack=${stack}`,
      `--parallel=${parallel}`,
      ...(options.dryRun ? ["--dry-run"] : []),
      `--pwd=${project.workingDirectory}`,
      project.entry,
    ],
    {
      cwd: project.workingDirectory,
      stdio: ["ignore", "pipe", "pipe"],
      env: {
        ...environment,
        PULUMI_CONFIG: JSON.stringify(config),
        PULUMI_CONFIG_SECRET_KEYS: JSON.stringify(secretKeys),
        PULUMI_NODEJS_TYPESCRIPT: "false",
      },
    },
  );
  const { stdout, stderr } = running.child;
  const read = Promise.all([
    lines(stdout, (line) => options.onLine("stdout", line)),
    lines(stderr, (line) => options.onLine("stderr", line)),
  ]);
  return {
    ended: running.exited.then(async (code) => {
      await read;
      return code;
    }),
    stop: (graceMs) => running.stop(graceMs),
  };
}
