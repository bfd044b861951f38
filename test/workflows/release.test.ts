/** `trading release` on a real Git repository, with a made-up forge and a made-up buildah. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { check, resolveConfig } from "prettier";
import { parse } from "yaml";
import { readStackFiles, render, writeFiles } from "../../components/render.ts";
import { projectDirectory } from "../../lab/directories.ts";
import { bump, type BumpArguments, readDigests } from "../../ops/release/bump.ts";
import { BuildError, buildImages } from "../../ops/release/build.ts";
import { releaseImages } from "../../ops/release/images.ts";
import { ForgeError, promote } from "../../ops/release/promote.ts";
import { billOfMaterials } from "../../ops/release/sbom.ts";
import { RefusedError, UsageError } from "../../ops/run.ts";
import { catalog } from "../../services/catalog.ts";

const root = mkdtempSync(path.join(tmpdir(), "release-"));
after(() => rmSync(root, { recursive: true, force: true }));

const digestOf = (letter: string): string => `sha256:${letter.repeat(64)}`;
const digests = new Map(
  catalog.map(({ name }, index) => [name, digestOf("0123456789abcdef"[index % 16] ?? "0")]),
);
const { signal } = new AbortController();

/** A clone of a repository with the stacks' files and what they render to, and the repository itself. */
function checkout(): { directory: string; git: (...words: string[]) => string; bare: string } {
  const directory = mkdtempSync(path.join(root, "checkout-"));
  const git = (...words: string[]): string =>
    execFileSync("git", words, { cwd: directory, encoding: "utf8", stdio: "pipe" });
  const bare = mkdtempSync(path.join(root, "bare-"));
  execFileSync("git", ["init", "--quiet", "--bare", "--initial-branch=master", bare]);
  git("clone", "--quiet", bare, ".");
  git("symbolic-ref", "HEAD", "refs/heads/master");
  for (const [key, value] of Object.entries({
    "user.name": "Test",
    "user.email": "test@example.com",
    "commit.gpgsign": "false",
  }))
    git("config", key, value);
  for (const stack of ["dev", "prod"]) {
    const text = readFileSync(path.join(projectDirectory, `Pulumi.${stack}.yaml`), "utf8");
    writeFileSync(path.join(directory, `Pulumi.${stack}.yaml`), text);
  }
  writeFiles(path.join(directory, "k8s"), render(readStackFiles(directory)));
  git("add", "--all");
  git("commit", "--quiet", "--message", "as it is");
  git("push", "--quiet", "origin", "master");
  return { directory, git, bare };
}

const argumentsFor = (directory: string): BumpArguments => ({
  directory,
  stacks: ["dev", "prod"],
  branch: "master",
  version: "v1.2.3",
  digests,
  push: true,
});

test("every service of the catalog has an image", () => {
  const images = releaseImages("ghcr.io/trading-cz", "v1.2.3");
  assert.deepEqual(
    images.map(({ service }) => service),
    catalog.map(({ name }) => name),
  );
  assert.ok(images.some(({ image }) => image === "ghcr.io/trading-cz/archiver:v1.2.3"));
});

test("bump: one commit, after which the overlays are what the stacks' files render to", async () => {
  const { directory, git, bare } = checkout();
  const { commit, pushedTo } = await bump(argumentsFor(directory));
  assert.equal(pushedTo, "origin");
  assert.equal(execFileSync("git", ["-C", bare, "rev-parse", "master"], { encoding: "utf8" }).trim(), commit);
  for (const [file, text] of render(readStackFiles(directory)))
    assert.equal(readFileSync(path.join(directory, "k8s", file), "utf8"), text, file);
  for (const stack of ["dev", "prod"]) {
    const { config } = parse(readFileSync(path.join(directory, `Pulumi.${stack}.yaml`), "utf8")) as {
      config: Record<string, { version: string; digests: Record<string, string> }>;
    };
    assert.equal(config["trading:images"]?.version, "v1.2.3");
    assert.deepEqual(config["trading:images"]?.digests, Object.fromEntries(digests), "jobs as well");
    const file = path.join(projectDirectory, `Pulumi.${stack}.yaml`);
    const text = readFileSync(path.join(directory, `Pulumi.${stack}.yaml`), "utf8");
    assert.ok(await check(text, { ...(await resolveConfig(file)), filepath: file }), "formatted as the rest");
  }
  const touched = git("show", "--name-only", "--format=", "HEAD").trim().split("\n");
  const overlays = ["dev", "prod"].map((stack) => `k8s/overlays/${stack}/kustomization.yaml`);
  assert.deepEqual(touched.sort(), ["Pulumi.dev.yaml", "Pulumi.prod.yaml", ...overlays]);
  assert.match(git("log", "-1", "--format=%s"), /^Release v1\.2\.3: dev and prod$/m);

  const again = await bump(argumentsFor(directory));
  assert.deepEqual(again, { version: "v1.2.3", commit: null, diff: "", pushedTo: null });
});

test("bump: what ran another version until now runs the release; what else the file says stays", async () => {
  const { directory, git } = checkout();
  const file = path.join(directory, "Pulumi.dev.yaml");
  const before = readFileSync(file, "utf8");
  writeFileSync(
    file,
    `${before}  trading:images:\n    registry: registry.example/trading\n    versions:\n      archiver: v0.9.0\n`,
  );
  writeFiles(path.join(directory, "k8s"), render(readStackFiles(directory)));
  git("commit", "--quiet", "--all", "--message", "archiver as it was");
  await bump({ ...argumentsFor(directory), stacks: ["dev"], push: false });
  const { config } = parse(readFileSync(file, "utf8")) as { config: Record<string, Record<string, unknown>> };
  assert.deepEqual(Object.keys(config["trading:images"] ?? {}), ["registry", "version", "digests"]);
  assert.ok(readFileSync(file, "utf8").startsWith(before));
  for (const [name, text] of render(readStackFiles(directory)))
    assert.equal(readFileSync(path.join(directory, "k8s", name), "utf8"), text, name);
});

test("bump: a commit that was not pushed is pushed by the next run", async () => {
  const { directory, git } = checkout();
  const { commit } = await bump({ ...argumentsFor(directory), push: false });
  assert.equal((await bump(argumentsFor(directory))).pushedTo, "origin");
  assert.equal(git("rev-parse", "origin/master").trim(), commit);
});

test("bump refuses another branch, changes that are not committed, and a stack that Pulumi delivers", async () => {
  const { directory, git } = checkout();
  const file = path.join(directory, "Pulumi.dev.yaml");
  await assert.rejects(bump({ ...argumentsFor(directory), branch: "production" }), RefusedError);
  writeFileSync(file, `${readFileSync(file, "utf8")}\n`);
  await assert.rejects(bump(argumentsFor(directory)), RefusedError);
  writeFileSync(file, readFileSync(file, "utf8").replace("delivery: gitops", "delivery: direct"));
  git("commit", "--quiet", "--all", "--message", "direct");
  await assert.rejects(bump(argumentsFor(directory)), /expected trading:delivery gitops/);
  assert.equal(git("status", "--porcelain"), "");
});

test("digests that are missing, strange or none are told together", async () => {
  const directory = mkdtempSync(path.join(root, "digests-"));
  for (const [service, digest] of digests) writeFileSync(path.join(directory, service), `${digest}\n`);
  assert.deepEqual(await readDigests(directory), new Map([...digests].sort()));
  rmSync(path.join(directory, "archiver"));
  writeFileSync(path.join(directory, "prepare-day"), "latest");
  writeFileSync(path.join(directory, "extra"), digestOf("a"));
  await assert.rejects(readDigests(directory), (error) => {
    assert.ok(error instanceof UsageError);
    for (const name of ["archiver: has no digest", 'prepare-day: found "latest"', "extra: is no service"])
      assert.ok(error.message.includes(name), error.message);
    return true;
  });
});

test("a bill of materials names packages as others find them", () => {
  const { components, metadata } = billOfMaterials(
    "archiver",
    new Map([
      ["zod", "4.6.7"],
      ["@aws-sdk/client-s3", "3.1169.0"],
    ]),
  );
  assert.equal(metadata.component.name, "archiver");
  assert.deepEqual(
    components.map(({ purl }) => purl),
    ["pkg:npm/%40aws-sdk/client-s3@3.1169.0", "pkg:npm/zod@4.6.7"],
  );
});

test("build: buildah is told what docker would be, and the password on its standard input only", async () => {
  const directory = mkdtempSync(path.join(root, "build-"));
  const log = path.join(directory, "log");
  mkdirSync(path.join(directory, "bin"));
  // Made up: writes what it is told, and a digest where it is asked for one.
  const script = `#!/bin/sh
echo "$@" >> "${log}"
[ "$1" = login ] && cat >> "${log}" && echo >> "${log}"
[ "$1" = push ] && echo "${digestOf("b")}" > "$3"
case "$*" in *v6.6.6*) exit 1;; esac
exit 0
`;
  writeFileSync(path.join(directory, "bin/buildah"), script, { mode: 0o755 });
  const images = releaseImages("registry.example:5000/trading", "v1.2.3").slice(0, 2);
  const target = path.join(directory, "digests");
  const common = {
    directory: "/source",
    version: "v1.2.3",
    revision: "abc",
    digests: target,
    signal,
    note: () => undefined,
  };
  const environment = {
    PATH: `${path.join(directory, "bin")}:${process.env["PATH"]}`,
    REGISTRY_USER: "robot",
    REGISTRY_PASSWORD: "made-up",
  };
  await buildImages({ ...common, images, environment });
  const [login, password, built, pushed] = readFileSync(log, "utf8").split("\n");
  assert.equal(login, "login --username robot --password-stdin registry.example:5000");
  assert.equal(password, "made-up");
  const [first] = images;
  assert.equal(
    built,
    `build --format oci --build-arg SERVICE=${first?.service} --build-arg VERSION=v1.2.3 --build-arg REVISION=abc --tag ${first?.image} /source`,
  );
  assert.equal(pushed, `push --digestfile ${path.join(target, first?.service ?? "")} ${first?.image}`);
  assert.deepEqual(readdirSync(target).sort(), images.map(({ service }) => service).sort());
  assert.equal(readFileSync(path.join(target, first?.service ?? ""), "utf8").trim(), digestOf("b"));

  const failing = releaseImages("registry.example/trading", "v6.6.6").slice(0, 1);
  await assert.rejects(buildImages({ ...common, images: failing, environment }), BuildError);
  const nothing = { PATH: path.join(directory, "nothing") };
  await assert.rejects(buildImages({ ...common, images, environment: nothing }), /no buildah on PATH/);
});

/** A made-up forge with one repository, as far as a promotion asks it. */
async function withForge(
  work: (forge: {
    api: string;
    pulls: object[];
    compare: object;
    asked: string[];
    token: string | undefined;
  }) => Promise<void>,
): Promise<void> {
  const forge = {
    api: "",
    pulls: [] as object[],
    compare: { total_commits: 0, commits: [] } as object,
    asked: [] as string[],
    token: undefined as string | undefined,
  };
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? "", "http://forge");
    forge.asked.push(`${request.method} ${url.pathname}`);
    forge.token = request.headers.authorization;
    let text = "";
    request.on("data", (chunk: Buffer) => (text += chunk.toString()));
    request.on("end", () => {
      const answer = (status: number, body: object): void =>
        void response.writeHead(status).end(JSON.stringify(body));
      if (url.pathname.endsWith("/pulls") && request.method === "GET") answer(200, forge.pulls);
      else if (url.pathname.includes("/compare/")) answer(200, forge.compare);
      else if (request.method === "POST") {
        const { head, base, title, body } = JSON.parse(text) as Record<string, string>;
        const pull = { html_url: "https://forge/1", base: { ref: base }, head: { ref: head }, title, body };
        forge.pulls.push(pull);
        answer(201, pull);
      } else answer(404, { message: "not found" });
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  forge.api = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  try {
    await work(forge);
  } finally {
    server.close();
  }
}

test("promote: opens a pull request once, with what it takes along; nothing where there is nothing", () =>
  withForge(async (forge) => {
    const environment = {
      GITHUB_API_URL: forge.api,
      GITHUB_REPOSITORY: "trading-cz/trading-platform",
      FORGE_TOKEN: "made-up",
    };
    const args = { environment, from: "master", to: "production", signal };
    assert.deepEqual(await promote(args), { outcome: "nothing", url: null, commits: [] });
    assert.deepEqual(forge.asked, [
      "GET /repos/trading-cz/trading-platform/pulls",
      "GET /repos/trading-cz/trading-platform/compare/production...master",
    ]);
    forge.compare = {
      total_commits: 3,
      commits: [{ commit: { message: "one\n\nmore" } }, { commit: { message: "two" } }],
    };
    const opened = await promote(args);
    assert.deepEqual(opened, { outcome: "opened", url: "https://forge/1", commits: ["one", "two"] });
    assert.equal(forge.token, "token made-up");
    const [pull] = forge.pulls as { title: string; body: string }[];
    assert.equal(pull?.title, "Promote master to production");
    assert.match(pull?.body ?? "", /Takes 3 commits[^]*… and 1 before these\n- one\n- two\n/);
    assert.equal((await promote(args)).outcome, "already-open");
    assert.equal(forge.pulls.length, 1);
  }));

test("promote: what is missing and what the forge says against it", () =>
  withForge(async ({ api }) => {
    const environment = {
      GITHUB_API_URL: `${api}/nowhere`,
      GITHUB_REPOSITORY: "a/b",
      FORGE_TOKEN: "made-up",
    };
    const args = { from: "master", to: "production", signal };
    await assert.rejects(
      promote({ ...args, environment: {} }),
      /GITHUB_API_URL, GITHUB_REPOSITORY, FORGE_TOKEN/,
    );
    await assert.rejects(
      promote({ ...args, environment: { ...environment, GITHUB_API_URL: "http://127.0.0.1:1" } }),
      ForgeError,
    );
  }));
