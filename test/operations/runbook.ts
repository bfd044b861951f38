/** docs/runbook.md as it is written: its sections' blocks, and how they are run. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import path from "node:path";
import { projectDirectory } from "../../lab/directories.ts";

const page = readFileSync(path.join(projectDirectory, "docs/runbook.md"), "utf8");

/** Longest that one block may take: one of them starts three brokers. */
const deadlineMs = 240_000;

/** The blocks of every section, by its title; those before the first section have the title "". */
export const sections: ReadonlyMap<string, readonly string[]> = new Map(
  page.split(/^## /m).map((section, index) => {
    const title = index === 0 ? "" : section.slice(0, section.indexOf("\n"));
    return [title, [...section.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block]) => block ?? "")];
  }),
);

/** A block as a script that ends at the first line whose exit code is not what the page says. */
export function scriptOf(block: string): string {
  const lines = block.split("\n").map((line) => {
    const [, command, first, other = first] = /^(.*?)\s+# exit (\d+)(?: or (\d+))?$/.exec(line) ?? [];
    if (command === undefined) return line;
    const unexpected = `echo "exit code $code, expected ${first} or ${other}: "${JSON.stringify(command)} >&2; exit 99`;
    return `code=0; ${command} || code=$?; [ $code = ${first} ] || [ $code = ${other} ] || { ${unexpected}; }`;
  });
  // Job control, for `kill %1`; it ends what the block started.
  return ["set -em", ...lines].join("\n");
}

/**
 * Runs a block of a section.
 * @returns all that it printed
 * @throws AssertionError with that when it does not end as the page says
 */
export async function follow(
  title: string,
  index: number,
  { directory, environment }: { directory: string; environment: Readonly<Record<string, string>> },
): Promise<string> {
  const block =
    sections.get(title)?.[index] ?? assert.fail(`the runbook has no block ${index} of "${title}"`);
  const child = spawn("bash", ["-c", scriptOf(block)], {
    cwd: directory,
    env: { ...process.env, ...environment },
    stdio: ["ignore", "pipe", "pipe"],
    timeout: deadlineMs,
  });
  const said: string[] = [];
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (chunk: string) => said.push(chunk));
  const code = await new Promise((resolve) =>
    child.once("close", (ended, signal) => resolve(ended ?? signal)),
  );
  assert.equal(code, 0, `"${title}", block ${index}:\n${block}\n${said.join("")}`);
  return said.join("");
}
