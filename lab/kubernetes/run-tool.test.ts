import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { ProcessRegistry } from "../processes.ts";
import { ControlPlaneError, ControlPlaneUnavailableError } from "./errors.ts";
import { goUnavailable, mavenUnavailable, runTool, type Tool } from "./run-tool.ts";

const directory = mkdtempSync(path.join(tmpdir(), "run-tool-"));
after(() => rmSync(directory, { recursive: true, force: true }));
const registry = new ProcessRegistry(path.join(directory, "processes"));

const shell = (script: string, differs: Partial<Tool> = {}): Promise<string> =>
  runTool({
    name: "a-tool",
    command: "sh",
    args: ["-c", script],
    directory,
    deadlineMs: 20_000,
    install: "Install it.",
    registry,
    ...differs,
  });

test("what it wrote to its standard output comes back", async () => {
  assert.equal(await shell("echo out; echo err >&2"), "out\n");
});

test("a tool that is not there, or cannot reach what it fetches, makes a check skip; any other failure does not", async () => {
  const missing = { command: "no-such-tool-of-ours", unavailable: goUnavailable };
  await assert.rejects(shell("", missing), ControlPlaneUnavailableError);
  await assert.rejects(
    shell("echo 'dial tcp: lookup proxy.example: no such host' >&2; exit 1", { unavailable: goUnavailable }),
    (error) =>
      error instanceof ControlPlaneUnavailableError && /no such host[^]*Install it/.test(error.message),
  );
  for (const words of [
    "./main.go:7:2: undefined: kwok",
    "verifying module: checksum mismatch\\nSECURITY ERROR",
  ]) {
    await assert.rejects(
      shell(`echo '${words}' >&2; exit 1`, { unavailable: goUnavailable }),
      (error) => error instanceof ControlPlaneError && error.message.includes("exit code 1"),
    );
  }
  await assert.rejects(
    shell("echo 'Could not find artifact io.strimzi:api:jar:9.9.9 in central' >&2; exit 1", {
      unavailable: mavenUnavailable,
    }),
    ControlPlaneError,
  );
});

test("late: a tool that fetches may lack its registry, one that builds is too slow", async () => {
  const late = { deadlineMs: 300 };
  await assert.rejects(
    shell("sleep 30", { ...late, unavailable: goUnavailable }),
    ControlPlaneUnavailableError,
  );
  await assert.rejects(shell("sleep 30", late), ControlPlaneError);
});

test("too old a Go and no Go behind nice cannot be had here", () => {
  assert.match("go: go.mod requires go >= 1.26.0 (running go 1.24.1; GOTOOLCHAIN=local)", goUnavailable);
  assert.match("nice: 'go': No such file or directory", goUnavailable);
});
