/** The Pulumi CLI's installation, from a server on this machine with a made-up release. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { installPulumi, pulumiChecksums, PulumiInstallError, pulumiVersion } from "./pulumi-cli.ts";

const root = mkdtempSync(path.join(tmpdir(), "pulumi-cli-"));
const platform = "linux-x64";
let archive = Buffer.alloc(0);
const asked: string[] = [];
const server = createServer((request, response) => {
  asked.push(request.url ?? "");
  if (request.url?.startsWith("/gone/") === true) response.writeHead(404).end();
  else response.end(archive);
});
let releases = "";

before(async () => {
  mkdirSync(path.join(root, "made-up/pulumi"), { recursive: true });
  writeFileSync(path.join(root, "made-up/pulumi/pulumi"), "#!/bin/sh\necho made up\n", { mode: 0o755 });
  execFileSync("tar", [
    "-czf",
    path.join(root, "release.tar.gz"),
    "-C",
    path.join(root, "made-up"),
    "pulumi",
  ]);
  archive = readFileSync(path.join(root, "release.tar.gz"));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  releases = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
after(() => {
  server.close();
  rmSync(root, { recursive: true, force: true });
});

test("the CLI is not older than package.json's package, and of its major version", () => {
  const text = readFileSync(path.join(import.meta.dirname, "../../package.json"), "utf8");
  const { dependencies } = JSON.parse(text) as { dependencies: Record<string, string> };
  const [cli, sdk] = [pulumiVersion, dependencies["@pulumi/pulumi"] ?? ""].map((version) =>
    version.split(".").map(Number),
  );
  assert.equal(cli?.[0], sdk?.[0]);
  assert.ok((cli?.[1] ?? 0) >= (sdk?.[1] ?? Infinity), `${pulumiVersion} is older than the package`);
  for (const checksum of Object.values(pulumiChecksums)) assert.match(checksum, /^[0-9a-f]{64}$/);
});

test("a release whose checksum is right is unpacked once, and later steps find it", async () => {
  const directory = mkdtempSync(path.join(root, "runner-"));
  const pathFile = path.join(directory, "path");
  writeFileSync(pathFile, "/somewhere\n");
  const checksums = { [platform]: createHash("sha256").update(archive).digest("hex") };
  asked.length = 0;
  const folder = await installPulumi({ directory, platform, pathFile, releases, checksums });
  assert.equal(execFileSync(path.join(folder, "pulumi"), { encoding: "utf8" }), "made up\n");
  assert.equal(readFileSync(pathFile, "utf8"), `/somewhere\n${folder}\n`);
  assert.equal(await installPulumi({ directory, platform, releases, checksums }), folder);
  assert.deepEqual(asked, [`/pulumi-v${pulumiVersion}-linux-x64.tar.gz`]);
});

test("any other file is refused, and nothing of it stays", async () => {
  const directory = mkdtempSync(path.join(root, "runner-"));
  await assert.rejects(installPulumi({ directory, platform, releases }), (error) => {
    assert.ok(error instanceof PulumiInstallError);
    assert.match(error.message, /expected 94ba357a/);
    return true;
  });
  assert.deepEqual(readdirSync(directory), []);
});

test("what is not there, and a platform without a checksum, are named", async () => {
  const directory = mkdtempSync(path.join(root, "runner-"));
  asked.length = 0;
  await assert.rejects(
    installPulumi({ directory, platform, releases: `${releases}/gone`, retryDelaysMs: [1, 1] }),
    /\(3 attempts\): it answers with status 404/,
  );
  assert.equal(asked.length, 3);
  await assert.rejects(
    installPulumi({ directory, platform: "plan9-mips", releases }),
    /no checksum for plan9-mips, expected one of linux-x64, linux-arm64/,
  );
});
