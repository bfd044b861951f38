import assert from "node:assert/strict";
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { checkPrerequisites } from "./prerequisites.ts";

const directory = mkdtempSync(path.join(tmpdir(), "lab-prerequisites-"));
after(() => rmSync(directory, { recursive: true, force: true }));

test("this machine has what the README asks for", async () => {
  await checkPrerequisites();
});

test("all missing tools come in one message", async () => {
  await assert.rejects(checkPrerequisites({ PATH: directory }), (error: Error & { exitCode?: number }) => {
    assert.equal(error.exitCode, 2);
    for (const tool of ["Java 17.0", "Maven 3.6", "Python 3.8", "pip"])
      assert.match(error.message, new RegExp(tool));
    assert.doesNotMatch(error.message, /Node/);
    return true;
  });
});

test("a tool that is too old is named with the version found", async () => {
  symlinkSync("/bin/sh", path.join(directory, "sh"));
  writeFileSync(path.join(directory, "java"), `#!/bin/sh\necho 'openjdk version "11.0.2" 2019-01-15' >&2\n`, {
    mode: 0o755,
  });
  await assert.rejects(checkPrerequisites({ PATH: directory }), /Java 17\.0 or newer: found 11\.0\.2/);
});
