/**
 * `trading ui` as a process, with fake programs in place of `argocd` and `kubectl`: they record what they were given, serve
 * the port, and say when they were ended.
 */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";

const repository = path.join(import.meta.dirname, "..");
const directory = mkdtempSync(path.join(tmpdir(), "ui-"));
const kubeconfig =
  "apiVersion: v1\nkind: Config\nusers: [{ name: default, user: { client-key-data: S0VZ } }]\n";

interface Recorded {
  args: string[];
  kubeconfigFile: string;
  kubeconfigMode: number;
  kubeconfig: string;
}

const recordOf = (tool: string): string => path.join(directory, `${tool}.json`);
const endedFile = path.join(directory, "ended");

/** A fake: writes down its arguments and the kubeconfig, and listens where it was told to. */
const fakeTool = `#!/usr/bin/env node
const { readFileSync, statSync, writeFileSync } = require("node:fs");
const { basename } = require("node:path");
const args = process.argv.slice(2);
const file = process.env.KUBECONFIG;
const recorded = {
  args,
  kubeconfigFile: file,
  kubeconfigMode: statSync(file).mode & 0o777,
  kubeconfig: readFileSync(file, "utf8"),
};
writeFileSync(process.env.FAKE_DIRECTORY + "/" + basename(process.argv[1]) + ".json", JSON.stringify(recorded));
if (process.env.FAKE_FAILS) {
  console.error("Unable to connect to the server");
  process.exit(1);
}
const port = args.includes("--port") ? args[args.indexOf("--port") + 1] : args.at(-1).split(":")[0];
require("node:net").createServer().listen(Number(port), "127.0.0.1");
process.on("SIGTERM", () => {
  writeFileSync(process.env.FAKE_DIRECTORY + "/ended", "by SIGTERM");
  process.exit(0);
});
`;

before(() => {
  for (const tool of ["argocd", "kubectl"]) {
    writeFileSync(path.join(directory, tool), fakeTool, { mode: 0o755 });
  }
  // A PATH with node, but without any tool that the machine happens to have.
  symlinkSync(process.execPath, path.join(directory, "node"));
  writeFileSync(
    path.join(directory, "fake-engine.mjs"),
    `export async function openStackEngine() {
  const outputs = process.env.FAKE_NO_CLUSTER ? {} : { kubeconfig: ${JSON.stringify(kubeconfig)} };
  return { description: "fake", outputs: async () => outputs };
}
`,
  );
});
after(() => rmSync(directory, { recursive: true, force: true }));

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, "close");
  return port;
}

function ui(args: string[], environment: NodeJS.ProcessEnv = {}) {
  const child = spawn(
    process.execPath,
    ["--import", import.meta.resolve("tsx"), path.join(repository, "ops", "main.ts"), "ui", ...args],
    {
      cwd: repository,
      timeout: 60_000,
      env: {
        ...process.env,
        PATH: directory,
        TRADING_ENGINE: path.join(directory, "fake-engine.mjs"),
        FAKE_DIRECTORY: directory,
        ...environment,
      },
    },
  );
  const text = { out: "", err: "" };
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => (text.out += chunk));
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => (text.err += chunk));
  return { child, text, ended: once(child, "close") as Promise<[number | null]> };
}

/** Waits until it has said where the page is. */
async function ready({ child, text }: { child: ChildProcess; text: { out: string; err: string } }) {
  while (!text.out.includes("\n")) {
    await Promise.race([
      once(child.stdout as NodeJS.EventEmitter, "data"),
      once(child, "close").then(() => assert.fail(`it ended: ${text.err}`)),
    ]);
  }
}

for (const { name, tool, expected } of [
  {
    name: "argocd",
    tool: "argocd",
    expected: (port: number) => [
      "admin",
      "dashboard",
      "--namespace",
      "argocd",
      "--address",
      "127.0.0.1",
      "--port",
      String(port),
    ],
  },
  {
    name: "prometheus",
    tool: "kubectl",
    expected: (port: number) => [
      ...["--namespace", "monitoring", "port-forward", "--address", "127.0.0.1"],
      ...["service/prometheus-operated", `${port}:9090`],
    ],
  },
]) {
  test(`ui ${name}: runs ${tool} with the cluster's kubeconfig until Ctrl-C, and leaves no file`, async () => {
    rmSync(endedFile, { force: true });
    const port = await freePort();
    const run = ui([name, "--port", String(port), "--json"]);
    await ready(run);
    assert.deepEqual(JSON.parse(run.text.out), { url: `http://127.0.0.1:${port}` });
    const recorded = JSON.parse(readFileSync(recordOf(tool), "utf8")) as Recorded;
    assert.deepEqual(recorded.args, expected(port));
    assert.equal(recorded.kubeconfig, kubeconfig);
    assert.equal(recorded.kubeconfigMode, 0o600);
    assert.ok(existsSync(recorded.kubeconfigFile));

    run.child.kill("SIGINT");
    assert.deepEqual(await run.ended, [130, null], run.text.err);
    assert.equal(readFileSync(endedFile, "utf8"), "by SIGTERM");
    assert.ok(!existsSync(path.dirname(recorded.kubeconfigFile)));
    assert.ok(!run.text.err.includes("S0VZ"));
  });
}

test("a program that ends by itself is a failure, with its words, and leaves no file", async () => {
  const run = ui(["prometheus", "--port", String(await freePort())], { FAKE_FAILS: "1" });
  assert.equal((await run.ended)[0], 1);
  assert.match(run.text.err, /Unable to connect to the server\n.*ended by itself \(exit code 1\)/s);
  const { kubeconfigFile } = JSON.parse(readFileSync(recordOf("kubectl"), "utf8")) as Recorded;
  assert.ok(!existsSync(path.dirname(kubeconfigFile)));
});

test("refused before anything is begun: a missing program, a port in use, no cluster", async () => {
  const bare = mkdtempSync(path.join(directory, "bare-"));
  const held = createServer().listen(0, "127.0.0.1");
  await once(held, "listening");
  const { port } = held.address() as { port: number };
  const runs = [
    { run: ui(["argocd"], { PATH: bare }), code: 2, says: /no `argocd` on PATH.*releases\/tag\/v3\./s },
    { run: ui(["argocd", "--port", String(port)]), code: 2, says: /EADDRINUSE.*--port/ },
    {
      run: ui(["prometheus"], { FAKE_NO_CLUSTER: "1" }),
      code: 3,
      says: /no cluster.*trading open --stack dev/,
    },
  ];
  for (const { run, code, says } of runs) {
    assert.equal((await run.ended)[0], code, run.text.err);
    assert.match(run.text.err, says);
  }
  held.close();
});
