/** The tools that a machine must have for the lab (README); all that is missing is told in one message. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { exitCodes, LabError } from "./errors.ts";

const run = promisify(execFile);

/** A tool, how it says its version, the oldest that works, and where to get it. */
interface Tool {
  name: string;
  command: string;
  args: string[];
  /** The first group is the version. */
  version: RegExp;
  minimum: readonly [major: number, minor: number];
  install: string;
}

const tools: readonly Tool[] = [
  {
    name: "Node.js",
    command: process.execPath,
    args: ["--version"],
    version: /^v(\d+(?:\.\d+)*)/m,
    minimum: [20, 19],
    install: "https://nodejs.org or your package manager",
  },
  {
    name: "Java",
    command: "java",
    args: ["-version"],
    version: /version "(\d+(?:\.\d+)*)/,
    minimum: [17, 0],
    install: "for example `apt-get install openjdk-17-jre-headless`",
  },
  {
    name: "Maven",
    command: "mvn",
    args: ["--version"],
    version: /Apache Maven (\d+(?:\.\d+)*)/,
    minimum: [3, 6],
    install: "for example `apt-get install maven`",
  },
  {
    name: "Python",
    command: "python3",
    args: ["--version"],
    version: /Python (\d+(?:\.\d+)*)/,
    minimum: [3, 8],
    install: "for example `apt-get install python3`",
  },
  {
    name: "pip (of python3)",
    command: "python3",
    args: ["-m", "pip", "--version"],
    version: /pip (\d+(?:\.\d+)*)/,
    minimum: [20, 0],
    install: "for example `apt-get install python3-pip`",
  },
];

async function findFault(tool: Tool, environment: NodeJS.ProcessEnv): Promise<string | undefined> {
  const expected = `${tool.name} ${tool.minimum.join(".")} or newer`;
  try {
    const { stdout, stderr } = await run(tool.command, tool.args, { env: environment, timeout: 60_000 });
    const found = tool.version.exec(stdout + stderr)?.[1];
    if (found === undefined)
      return `${expected}: \`${tool.command} ${tool.args.join(" ")}\` did not say its version`;
    const [major = 0, minor = 0] = found.split(".").map(Number);
    const [wantedMajor, wantedMinor] = tool.minimum;
    if (major > wantedMajor || (major === wantedMajor && minor >= wantedMinor)) return undefined;
    return `${expected}: found ${found}; ${tool.install}`;
  } catch {
    return `${expected}: not found; ${tool.install}`;
  }
}

/**
 * Checks every tool at once.
 * @param environment the environment whose PATH is searched; default: this process's.
 * @throws LabError (exit code 2) that lists each missing or too old tool and how to get it.
 */
export async function checkPrerequisites(environment: NodeJS.ProcessEnv = process.env): Promise<void> {
  const faults = (await Promise.all(tools.map((tool) => findFault(tool, environment)))).filter(
    (fault) => fault !== undefined,
  );
  if (faults.length > 0) {
    throw new LabError(`The lab needs on this machine:\n  - ${faults.join("\n  - ")}`, exitCodes.usage);
  }
}
