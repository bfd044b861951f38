/** `trading rollback` on real Git repositories, with the files that `npm run render` makes. */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { parse, parseDocument } from "yaml";
import { render, readStackFiles, writeFiles } from "../components/render.ts";
import { GitError } from "../ops/rollback/git.ts";
import { rollBack, type RollbackArguments } from "../ops/rollback/rollback.ts";
import { RefusedError, UsageError } from "../ops/run.ts";

const repository = path.join(import.meta.dirname, "..");
const root = mkdtempSync(path.join(tmpdir(), "rollback-"));
after(() => rmSync(root, { recursive: true, force: true }));

const digest = `sha256:${"0123456789abcdef".repeat(4)}`;
const overlay = "k8s/overlays/dev/kustomization.yaml";

/** A repository like this one, as far as a rollback reads it. */
class Checkout {
  readonly directory: string;

  constructor(directory: string) {
    this.directory = directory;
  }

  static make(): Checkout {
    const checkout = new Checkout(mkdtempSync(path.join(root, "checkout-")));
    checkout.git("init", "--quiet", "--initial-branch=master");
    checkout.identify();
    return checkout;
  }

  /** A clone, by the name `origin`, of a bare repository with two releases. */
  static clone(): { checkout: Checkout; bare: string } {
    const upstream = Checkout.make();
    upstream.release({ version: "v1.0.0" });
    upstream.release({ version: "v1.1.0" });
    const bare = mkdtempSync(path.join(root, "bare-"));
    execFileSync("git", ["clone", "--quiet", "--bare", upstream.directory, bare]);
    const checkout = new Checkout(mkdtempSync(path.join(root, "clone-")));
    execFileSync("git", ["clone", "--quiet", bare, checkout.directory]);
    checkout.identify();
    return { checkout, bare };
  }

  identify(): void {
    this.git("config", "user.name", "Test");
    this.git("config", "user.email", "test@example.com");
    this.git("config", "commit.gpgsign", "false");
  }

  git(...args: string[]): string {
    return execFileSync("git", args, { cwd: this.directory, encoding: "utf8", stdio: "pipe" });
  }

  read(file: string): string {
    return readFileSync(path.join(this.directory, file), "utf8");
  }

  write(file: string, text: string): void {
    mkdirSync(path.dirname(path.join(this.directory, file)), { recursive: true });
    writeFileSync(path.join(this.directory, file), text);
  }

  /** Commits what a stack's file with these images renders to; a text is JSON, as `pulumi config set` writes it. */
  release(images: object | string): string {
    for (const stack of ["dev", "prod"]) {
      const document = parseDocument(readFileSync(path.join(repository, `Pulumi.${stack}.yaml`), "utf8"));
      if (stack === "dev") document.setIn(["config", "trading:images"], document.createNode(images));
      this.write(`Pulumi.${stack}.yaml`, document.toString({ lineWidth: 0, flowCollectionPadding: false }));
    }
    writeFiles(path.join(this.directory, "k8s"), render(readStackFiles(this.directory)));
    this.git("add", "--all");
    this.git("commit", "--quiet", "--message", `release ${JSON.stringify(images)}`);
    return this.head();
  }

  head(): string {
    return this.git("rev-parse", "HEAD").trim();
  }

  /** What the overlay names: image without its registry, by service. */
  images(): Record<string, string> {
    const { images } = parse(this.read(overlay)) as {
      images: { newName: string; newTag?: string; digest?: string }[];
    };
    return Object.fromEntries(
      images.map(({ newName, newTag, digest: exact }) => [newName.split("/").at(-1), exact ?? newTag]),
    ) as Record<string, string>;
  }

  rollBack(args: Partial<RollbackArguments> = {}): ReturnType<typeof rollBack> {
    return rollBack({
      stack: "dev",
      directory: this.directory,
      source: { path: "k8s/overlays/dev", revision: "master" },
      version: (parse(this.read("Pulumi.dev.yaml")) as { config: Record<string, { version: string }> })
        .config["trading:images"]?.version as string,
      dryRun: false,
      push: false,
      ...args,
    });
  }

  /** The overlay is what the stack's file renders to, and nothing is left uncommitted. */
  assertConsistent(): void {
    const rendered = render(readStackFiles(this.directory));
    const folder = path.join(this.directory, "k8s");
    for (const [file, content] of rendered) {
      assert.equal(readFileSync(path.join(folder, file), "utf8"), content, file);
    }
    assert.equal(this.git("status", "--porcelain"), "");
  }
}

test("one service goes back to the version before; the others stay, and a second run changes nothing", async () => {
  const checkout = Checkout.make();
  checkout.release({ version: "v1.0.0" });
  const released = checkout.release({ version: "v1.1.0" });
  const result = await checkout.rollBack({ service: "executor-alpaca" });
  assert.deepEqual(result.changes, [{ service: "executor-alpaca", from: "v1.1.0", to: "v1.0.0" }]);
  assert.equal(result.commit, checkout.head());
  assert.match(result.diff, /^-    newTag: v1\.1\.0\n\+    newTag: v1\.0\.0$/m);
  const { "executor-alpaca": executor, ...others } = checkout.images();
  assert.equal(executor, "v1.0.0");
  assert.deepEqual([...new Set(Object.values(others))], ["v1.1.0"]);
  checkout.assertConsistent();
  assert.equal(checkout.git("rev-parse", "HEAD~1").trim(), released);
  assert.equal(checkout.git("diff", "--name-only", "HEAD~1").trim(), ["Pulumi.dev.yaml", overlay].join("\n"));

  const again = await checkout.rollBack({ service: "executor-alpaca" });
  assert.match(again.unchanged ?? "", /rolled back already, by [0-9a-f]{12}.*--to.*v1\.1\.0/);
  assert.equal(checkout.head(), result.commit);

  const forward = await checkout.rollBack({ service: "executor-alpaca", to: "v1.1.0" });
  assert.equal(forward.changes.length, 1);
  checkout.assertConsistent();
  assert.equal(
    checkout.git("show", `${released}:Pulumi.dev.yaml`),
    checkout.read("Pulumi.dev.yaml"),
    "nothing of the rollback is left once it is undone",
  );
});

test("all services go back, each to what it had: by digest, by a version of its own, or with the others", async () => {
  const checkout = Checkout.make();
  checkout.release({
    version: "v1.0.0",
    versions: { "strategy-dummy": "v0.9.0" },
    digests: { archiver: digest },
  });
  const before = checkout.images();
  const file = checkout.read("Pulumi.dev.yaml");
  checkout.release({ version: "v1.1.0" });
  const result = await checkout.rollBack();
  assert.equal(result.changes.length, Object.keys(before).length);
  assert.deepEqual(checkout.images(), before);
  checkout.assertConsistent();
  assert.deepEqual(parse(checkout.read("Pulumi.dev.yaml")), parse(file));
  assert.match((await checkout.rollBack()).unchanged ?? "", /rolled back already/);
});

test("images that are JSON text in the stack's file are read as the program reads them", async () => {
  const checkout = Checkout.make();
  checkout.release('{"version":"v1.0.0"}');
  checkout.release('{"registry":"registry.example.com","version":"v1.1.0"}');
  await checkout.rollBack({ service: "archiver", version: "v1.1.0" });
  const { config } = parse(checkout.read("Pulumi.dev.yaml")) as { config: Record<string, unknown> };
  assert.deepEqual(config["trading:images"], {
    registry: "registry.example.com",
    version: "v1.1.0",
    versions: { archiver: "v1.0.0" },
  });
  checkout.assertConsistent();
});

test("images that are no object are refused by their key, and nothing is changed", async () => {
  const checkout = Checkout.make();
  checkout.release({ version: "v1.0.0" });
  checkout.release({ version: "v1.1.0" });
  const broken = parseDocument(checkout.read("Pulumi.dev.yaml"));
  broken.setIn(["config", "trading:images"], "v1.1.0");
  checkout.write("Pulumi.dev.yaml", broken.toString({ lineWidth: 0, flowCollectionPadding: false }));
  checkout.git("commit", "--quiet", "--all", "--message", "images without a key");
  await assert.rejects(checkout.rollBack({ version: "v1.1.0" }), (error: Error) => {
    assert.ok(error instanceof UsageError, error.stack);
    assert.match(error.message, /^Pulumi\.dev\.yaml.*trading:images: found "v1\.1\.0".*object/s);
    return true;
  });
  assert.equal(checkout.git("status", "--porcelain"), "");
});

test("what a merge brought is undone as a whole", async () => {
  const checkout = Checkout.make();
  checkout.release({ version: "v1.0.0" });
  checkout.git("switch", "--quiet", "--create", "next");
  checkout.release({ version: "v1.1.0-rc.1" });
  checkout.release({ version: "v1.1.0" });
  checkout.git("switch", "--quiet", "master");
  checkout.git("merge", "--quiet", "--no-ff", "--message", "merge next", "next");
  const result = await checkout.rollBack({ service: "archiver" });
  assert.equal(result.changes[0]?.to, "v1.0.0", "the branch never had the release candidate");
});

test("a dry run shows the difference and changes nothing", async () => {
  const checkout = Checkout.make();
  checkout.release({ version: "v1.0.0" });
  const head = checkout.release({ version: "v1.1.0" });
  const result = await checkout.rollBack({ service: "archiver", dryRun: true, push: true });
  assert.match(result.diff, /versions:\n\+\s+archiver: v1\.0\.0/);
  assert.deepEqual([result.commit, result.pushedTo, checkout.head()], [null, null, head]);
  checkout.assertConsistent();
});

test("refused with what to do: changes, another branch, no repository, unknown service or version, nothing before", async () => {
  const checkout = Checkout.make();
  checkout.release({ version: "v1.0.0" });
  const refused = (args: Partial<RollbackArguments>, kind: new () => Error, message: RegExp) =>
    assert.rejects(checkout.rollBack(args), (error: Error) => {
      assert.ok(error instanceof kind, error.stack);
      assert.match(error.message, message);
      return true;
    });
  await refused({}, RefusedError, /never had another image of any service/);
  checkout.release({ version: "v1.1.0" });
  await refused({ service: "executor" }, UsageError, /found executor, expected .*executor-alpaca/);
  await refused({ service: "prepare-day" }, UsageError, /Pulumi's/);
  await refused({ to: "v7.0.0" }, RefusedError, /v7\.0\.0 never was .* expected one of v1\.1\.0, v1\.0\.0/);
  await refused(
    { source: { path: "k8s/overlays/dev", revision: "production" } },
    RefusedError,
    /branch master, .* follows production/,
  );
  checkout.write("Pulumi.prod.yaml", `${checkout.read("Pulumi.prod.yaml")}# changed\n`);
  await refused({ service: "archiver" }, RefusedError, /not committed:\n M Pulumi\.prod\.yaml/);
  const elsewhere = mkdtempSync(path.join(root, "plain-"));
  await refused({ directory: elsewhere }, UsageError, /not in a Git repository/);
});

test("a push that fails leaves the commit and says so; the next run pushes it", async () => {
  const { checkout, bare } = Checkout.clone();
  const hook = path.join(bare, "hooks", "pre-receive");
  writeFileSync(hook, "#!/bin/sh\necho 'only by pull request' >&2\nexit 1\n", { mode: 0o755 });
  await assert.rejects(checkout.rollBack({ service: "archiver", push: true }), (error: Error) => {
    assert.ok(error instanceof GitError);
    assert.match(error.message, /committed \([0-9a-f]{12}\), but not pushed.*only by pull request/s);
    return true;
  });
  const committed = checkout.head();
  rmSync(hook);
  const result = await checkout.rollBack({ service: "archiver", push: true });
  assert.deepEqual([result.commit, result.pushedTo], [null, "origin"]);
  assert.equal(
    execFileSync("git", ["-C", bare, "rev-parse", "master"], { encoding: "utf8" }).trim(),
    committed,
  );
  assert.equal((await checkout.rollBack({ service: "archiver", push: true })).pushedTo, null);
});

test("a push takes only rollbacks along: other commits that are not pushed are refused, before anything is done", async () => {
  const { checkout, bare } = Checkout.clone();
  const released = checkout.head();
  const pushed = () => execFileSync("git", ["-C", bare, "rev-parse", "master"], { encoding: "utf8" }).trim();
  const refused = async (args: Partial<RollbackArguments>, message: RegExp) => {
    const head = checkout.head();
    await assert.rejects(checkout.rollBack({ ...args, push: true }), (error: Error) => {
      assert.ok(error instanceof RefusedError, error.stack);
      assert.match(error.message, message);
      return true;
    });
    assert.deepEqual([checkout.head(), pushed()], [head, released]);
    checkout.assertConsistent();
  };
  // A rollback that waits to be pushed does not make the other commit one.
  await checkout.rollBack({ service: "archiver" });
  checkout.write("notes.txt", "half done");
  checkout.git("add", "--all");
  checkout.git("commit", "--quiet", "--message", "half-done work");
  const found = new RegExp(`1 commit .*origin/master.*:\n  ${checkout.head().slice(0, 12)} half-done work\n`);
  await refused({ service: "executor-alpaca" }, found);
  await refused({ to: "v1.1.0", service: "executor-alpaca" }, found);

  checkout.git("reset", "--quiet", "--keep", "HEAD~1");
  checkout.git("update-ref", "-d", "refs/remotes/origin/master");
  await refused({ service: "executor-alpaca" }, /not known .*origin\/master.*git fetch origin/s);
  checkout.git("fetch", "--quiet");
  assert.equal((await checkout.rollBack({ service: "executor-alpaca", push: true })).pushedTo, "origin");
  assert.equal(pushed(), checkout.head());
});

test("a commit that Git refuses leaves the checkout as it was", async () => {
  const checkout = Checkout.make();
  checkout.release({ version: "v1.0.0" });
  const head = checkout.release({ version: "v1.1.0" });
  const hooks = path.join(checkout.directory, ".git", "hooks");
  assert.ok(readdirSync(hooks));
  writeFileSync(path.join(hooks, "pre-commit"), "#!/bin/sh\necho no >&2\nexit 1\n", { mode: 0o755 });
  await assert.rejects(checkout.rollBack({ service: "archiver" }), GitError);
  assert.equal(checkout.head(), head);
  checkout.assertConsistent();
});

test("the command: one JSON object, and exit code 3 where Pulumi delivers", () => {
  const checkout = Checkout.make();
  checkout.release({ version: "v1.0.0" });
  checkout.release({ version: "v1.1.0" });
  const trading = (...args: string[]) =>
    spawnSync(
      process.execPath,
      ["--import", import.meta.resolve("tsx"), path.join(repository, "ops", "main.ts"), "rollback", ...args],
      { cwd: checkout.directory, encoding: "utf8", timeout: 60_000 },
    );
  const done = trading("--service", "archiver", "--json");
  assert.equal(done.status, 0, done.stderr);
  const result = JSON.parse(done.stdout) as { changes: unknown; commit: string };
  assert.deepEqual(result.changes, [{ service: "archiver", from: "v1.1.0", to: "v1.0.0" }]);
  assert.equal(result.commit, checkout.head());
  checkout.write(
    "Pulumi.dev.yaml",
    checkout.read("Pulumi.dev.yaml").replace("trading:delivery: gitops", "trading:delivery: direct"),
  );
  const direct = trading("--service", "archiver");
  assert.equal(direct.status, 3, direct.stderr);
  assert.match(direct.stderr, /trading:images\.versions\.archiver .*pulumi up -s dev/s);
});
