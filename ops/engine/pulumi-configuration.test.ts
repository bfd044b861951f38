/** The stack's file with a stand-in for the Pulumi CLI that encrypts nothing, because no secret is set. */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { openPulumiConfiguration } from "./pulumi-configuration.ts";
import { StackEngineError } from "./stack-engine.ts";

const directory = mkdtempSync(path.join(tmpdir(), "pulumi-configuration-test-"));
const file = path.join(directory, "Pulumi.dev.yaml");
const environment = {
  PATH: `${path.join(directory, "bin")}${path.delimiter}${process.env["PATH"] ?? ""}`,
  PULUMI_CONFIG_PASSPHRASE: "throwaway",
};
/** SIMULATED: knows the stack, and no values. */
const cli = `#!/bin/sh
case "$1 $2" in
  config*) echo "{}" ;;
  "stack ls") echo '[{"name":"dev"}]' ;;
esac
`;

before(() => {
  mkdirSync(path.join(directory, "bin"));
  writeFileSync(path.join(directory, "bin", "pulumi"), cli, { mode: 0o755 });
  writeFileSync(path.join(directory, "Pulumi.yaml"), "name: trading\nruntime: nodejs\n");
});
after(() => rmSync(directory, { recursive: true, force: true }));

const begun = "# Ours.\nconfig:\n  trading:openHours: 2\n";
const change = { path: ["trading:openHours"], value: 3, secret: false } as const;

test("a value is set, and what else the file says stays", async () => {
  writeFileSync(file, begun);
  const store = await openPulumiConfiguration({ stack: "dev", projectDirectory: directory, environment });
  await store.write([change], () => undefined);
  assert.equal(readFileSync(file, "utf8"), begun.replace("2", "3"));
});

test("what somebody changed in the file since it was read is not written over", async () => {
  for (const meanwhile of [`${begun}  trading:locations: fsn1\n`, undefined]) {
    writeFileSync(file, begun);
    const store = await openPulumiConfiguration({ stack: "dev", projectDirectory: directory, environment });
    if (meanwhile === undefined) rmSync(file);
    else writeFileSync(file, meanwhile);
    await assert.rejects(
      store.write([change], () => undefined),
      (error: unknown) =>
        error instanceof StackEngineError &&
        /was changed meanwhile\. Nothing was written/.test(error.message),
    );
    if (meanwhile !== undefined) assert.equal(readFileSync(file, "utf8"), meanwhile);
  }
});
