/** `trading init` as it is used: from scripts, and at a terminal, with the lab's engine and servers. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { parseDocument } from "yaml";
import { labDirectories, projectDirectory } from "../../lab/directories.ts";
import { type Hetzner, startHetzner } from "../../lab/hetzner/index.ts";
import { type LabObjectStore, startObjectStore } from "../../lab/objectstore/index.ts";
import { type LabAlpaca, startAlpaca } from "../../lab/venues/alpaca/index.ts";
import { type LabNear, startNear } from "../../lab/venues/near/index.ts";
import { openStackConfiguration } from "../../ops/engine/choose.ts";
import { isPulumiOnPath } from "../../ops/engine/pulumi.ts";
import { parseStackConfig, secretKeys } from "../../stacks/config.ts";
import { atTerminal } from "./terminal.ts";

const root = mkdtempSync(path.join(tmpdir(), "trading-init-"));
let hetzner: Hetzner;
let store: LabObjectStore;
let alpaca: LabAlpaca;
let near: LabNear;

before(async () => {
  [hetzner, store, alpaca, near] = await Promise.all([
    startHetzner({}),
    startObjectStore({ directory: path.join(root, "s3"), cacheDirectory: labDirectories.cache }),
    startAlpaca({ market: "simulated" }),
    startNear({ market: "replay" }),
  ]);
});
after(async () => {
  await Promise.all([hetzner.close(), store.stop(), alpaca.close(), near.close()]);
  rmSync(root, { recursive: true, force: true });
});

/** A newcomer's clone, and what is in the environment there. */
function clone(name: string): { cwd: string; file: string; env: Record<string, string> } {
  const cwd = path.join(root, name);
  mkdirSync(cwd);
  for (const file of ["Pulumi.yaml", "Pulumi.dev.yaml"])
    cpSync(path.join(projectDirectory, file), path.join(cwd, file));
  const file = path.join(cwd, "private", "dev.json");
  const env = {
    PATH: process.env["PATH"] ?? "",
    HOME: cwd,
    TERM: "xterm",
    TRADING_ENGINE: path.join(projectDirectory, "lab/stack-engine.ts"),
    LAB_STACK_CONFIG: file,
  };
  return { cwd, file, env };
}

/** What is no secret, as answers. */
const plainAnswers = () => ({
  adminCidrs: ["88.99.1.2/32"],
  archive: { endpoint: store.endpoint, region: store.region, bucket: store.bucket },
  delivery: "direct",
  "trading:hcloudEndpoint": hetzner.endpoint,
  venues: {
    alpaca: { streamUrl: alpaca.stream, restUrl: alpaca.rest, updatesUrl: alpaca.updates },
    nearIntents: { relayWebSocketUrl: near.ws, relayRpcUrl: near.rpc, salt: near.salt },
  },
});
const secretVariables = () => ({
  HCLOUD_TOKEN: hetzner.token,
  S3_ACCESS_KEY_ID: store.accessKeyId,
  S3_SECRET_ACCESS_KEY: store.secretAccessKey,
  ALPACA_KEY_ID: alpaca.keyId,
  ALPACA_SECRET_KEY: alpaca.secret,
  NEAR_RELAY_TOKEN: near.token,
  NEAR_SIGNER_ID: near.signerId,
  NEAR_PRIVATE_KEY: near.privateKey,
});

const program = (...args: string[]) => [
  process.execPath,
  "--import",
  import.meta.resolve("tsx"),
  path.join(projectDirectory, "ops/main.ts"),
  "init",
  "--stack",
  "dev",
  ...args,
];

interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

function run(args: string[], cwd: string, env: Record<string, string>, stdin = ""): Promise<Ended> {
  const [command = "", ...rest] = program(...args);
  const child = spawn(command, rest, { cwd, env, stdio: "pipe" });
  let [stdout, stderr] = ["", ""];
  child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
  child.stdin.on("error", () => undefined);
  child.stdin.end(stdin);
  return new Promise((resolve) => child.on("close", (code) => resolve({ code, stdout, stderr })));
}

/** No secret is shown. */
function assertNothingShown(shown: string): void {
  for (const [name, secret] of Object.entries(secretVariables()))
    assert.equal(shown.includes(secret), false, `${name} is not shown`);
}

const keysOf = (file: string) =>
  JSON.parse(readFileSync(file, "utf8")) as { values: Record<string, string>; secretKeys: string[] };

test(
  "a script: everything missing at once, then written whole, then nothing to do",
  { timeout: 300_000 },
  async () => {
    const { cwd, file, env } = clone("script");
    const nothing = await run(["--json"], cwd, env);
    assert.equal(nothing.code, 2, nothing.stderr);
    const { gaps, written } = JSON.parse(nothing.stdout) as { gaps: { key: string }[]; written: boolean };
    assert.equal(written, false);
    assert.deepEqual(
      gaps.map(({ key }) => key),
      [
        "trading:hcloudToken",
        "trading:adminCidrs",
        "trading:archiveAccessKeyId",
        "trading:archiveSecretAccessKey",
        "trading:alpacaKeyId",
        "trading:alpacaSecretKey",
        "trading:nearRelayToken",
        "trading:nearSignerId",
        "trading:nearPrivateKey",
      ],
    );
    for (const variable of Object.keys(secretVariables()))
      assert.ok(nothing.stderr.includes(variable), variable);

    const stale = JSON.stringify({ ...plainAnswers(), alpacaSecretKey: "stale" });
    const wrong = await run(["--answers", "-", "--json"], cwd, { ...env, ...secretVariables() }, stale);
    assert.equal(wrong.code, 1, wrong.stderr);
    const { findings } = JSON.parse(wrong.stdout) as { findings: { verdict: string; group: string }[] };
    assert.deepEqual(
      findings.filter(({ verdict }) => verdict === "refused").map(({ group }) => group),
      ["alpaca"],
    );
    assert.equal(readdirSync(cwd).includes("private"), false, "what is refused is not written");

    const service = createServer((_request, response) => response.end("127.0.0.1\n"));
    await new Promise<void>((resolve) => service.listen(0, "127.0.0.1", resolve));
    const { adminCidrs: _detected, ...answers } = plainAnswers();
    writeFileSync(path.join(cwd, "answers.json"), JSON.stringify(answers));
    const address = `http://127.0.0.1:${(service.address() as AddressInfo).port}/`;
    const args = ["--answers", "answers.json", "--detect", address];
    const done = await run(args, cwd, { ...env, ...secretVariables() });
    service.close();
    assert.equal(done.code, 0, done.stderr);
    assert.match(done.stderr, /sees this machine as 127\.0\.0\.1\/32/);
    assertNothingShown(done.stdout + done.stderr + wrong.stdout + wrong.stderr);
    assert.equal(statSync(file).mode & 0o777, 0o600);
    assert.deepEqual(readdirSync(path.dirname(file)), ["dev.json"]);
    const { values, secretKeys: encryptedKeys } = keysOf(file);
    const config = parseStackConfig(values, { encryptedKeys });
    assert.deepEqual(config.adminCidrs, ["127.0.0.1/32"]);
    assert.equal(config.secrets.nearPrivateKey, near.privateKey);
    assert.equal(config.archive.bucket, store.bucket);
    assert.deepEqual(config.gitops?.path, "k8s/overlays/dev", "what was there stays");

    const before = readFileSync(file, "utf8");
    const again = await run(["--json"], cwd, { ...env, HCLOUD_TOKEN: "y".repeat(64) });
    assert.equal(again.code, 0, again.stderr);
    assert.match(again.stderr, /HCLOUD_TOKEN differs from trading:hcloudToken, which stays/);
    assert.deepEqual((JSON.parse(again.stdout) as { changed: string[] }).changed, []);
    assert.equal(readFileSync(file, "utf8"), before);

    const damaged = before.replace(alpaca.secret, "stale");
    assert.notEqual(damaged, before);
    writeFileSync(file, damaged);
    const checked = await run(["--check"], cwd, { ...env, ...secretVariables() });
    assert.equal(checked.code, 1, "what the environment has is not what is configured");
    assert.match(checked.stdout, /WRONG +alpaca/);
    assert.match(checked.stdout, /trading:hcloudToken +set\n/);
    assert.equal(readFileSync(file, "utf8"), damaged);
  },
);

test(
  "a person at a terminal: wrong answers are asked again, secrets are not shown, Ctrl-C writes nothing",
  { timeout: 300_000 },
  async () => {
    const { cwd, file, env } = clone("person");
    const { adminCidrs: _asked, ...answers } = plainAnswers();
    writeFileSync(path.join(cwd, "answers.json"), JSON.stringify(answers));
    const begin = [
      { after: "Hetzner Cloud project: ", type: "too short\r" },
      { after: "64 characters", type: "" },
      { after: "Hetzner Cloud project: ", type: `${"z".repeat(64)}\r` },
      { after: "writes nothing): ", type: "a\r" },
      { after: "Enter keeps it]: ", type: `${hetzner.token}\r` },
      { after: "separated by commas: ", type: "203.0.113.7\r" },
      { after: "reserved for documentation", type: "" },
    ];
    const interrupted = await atTerminal(
      program("--answers", "answers.json"),
      [...begin, { after: "separated by commas: ", type: "\x03" }],
      { cwd, env },
    );
    assert.equal(interrupted.code, 130, interrupted.shown);
    assert.equal(interrupted.typed, begin.length + 1);
    assert.equal(readdirSync(cwd).includes("private"), false);

    const done = await atTerminal(
      program("--answers", "answers.json"),
      [
        { after: "Hetzner Cloud project: ", type: `${hetzner.token}\r` },
        { after: "separated by commas: ", type: "88.99.1.2, 2a01:4f8::1\r" },
        { after: "Access key of the bucket: ", type: `${store.accessKeyId}\r` },
        { after: "secret key: ", type: `${store.secretAccessKey}\r` },
        { after: "Alpaca API key: ", type: `${alpaca.keyId}\r` },
        { after: "Its secret: ", type: `${alpaca.secret}\r` },
        { after: "relay: ", type: `${near.token}\r` },
        { after: "signs: ", type: `${near.signerId}\r` },
        { after: "private key", type: `${near.privateKey}\r` },
        { after: "[Y/n]: ", type: "\r" },
      ],
      { cwd, env },
    );
    assert.equal(done.code, 0, done.shown);
    assertNothingShown(interrupted.shown + done.shown);
    const { values, secretKeys: encryptedKeys } = keysOf(file);
    const config = parseStackConfig(values, { encryptedKeys });
    assert.deepEqual(config.adminCidrs, ["88.99.1.2/32", "2a01:4f8::1/128"]);
    assert.equal(config.secrets.hcloudToken, hetzner.token);
  },
);

const hasPulumi = await isPulumiOnPath(process.env["PATH"] ?? "");

test(
  "with the Pulumi CLI: secrets encrypted in the stack's file, comments kept, a wrong passphrase told",
  { timeout: 300_000, skip: hasPulumi ? false : "no Pulumi CLI on PATH" },
  async () => {
    const { cwd, env } = clone("pulumi");
    const file = path.join(cwd, "Pulumi.dev.yaml");
    mkdirSync(path.join(cwd, "state"));
    const { TRADING_ENGINE: _engine, LAB_STACK_CONFIG: _config, ...plain } = env;
    const pulumi = {
      ...plain,
      PULUMI_BACKEND_URL: `file://${cwd}/state`,
      PULUMI_HOME: path.join(cwd, "home"),
    };
    const passphrase = { PULUMI_CONFIG_PASSPHRASE: "a passphrase of this test" };
    writeFileSync(path.join(cwd, "answers.json"), JSON.stringify(plainAnswers()));
    const before = readFileSync(file, "utf8");

    const without = await run(["--answers", "answers.json"], cwd, { ...pulumi, ...secretVariables() });
    assert.equal(without.code, 2, without.stderr);
    assert.match(without.stderr, /PULUMI_CONFIG_PASSPHRASE/);
    assert.equal(readFileSync(file, "utf8"), before);

    const open = (stack: string) =>
      openStackConfiguration({ stack, projectDirectory: cwd, environment: { ...pulumi, ...passphrase } });
    const stopped = (await open("dev")).write(
      [{ path: ["trading:alpacaKeyId"], value: "PK", secret: true }],
      (line) => {
        if (line.startsWith("Making sure")) throw new Error("enough");
      },
    );
    await assert.rejects(stopped, /enough/);
    assert.equal(
      readFileSync(file, "utf8"),
      before,
      "whoever interrupts it at its last step finds nothing written",
    );

    // As `pulumi config set` leaves an object; the stack is not in the backend.
    const other = path.join(cwd, "Pulumi.other.yaml");
    writeFileSync(other, `config:\n  trading:archive: '{"region":"fsn1"}' # where\n`);
    await (
      await open("other")
    ).write(
      [
        { path: ["trading:archive", "bucket"], value: "days", secret: false },
        { path: ["trading:alpacaKeyId"], value: "PK", secret: true },
      ],
      () => undefined,
    );
    assert.deepEqual((await (await open("other")).read()).entries, {
      "trading:archive": '{"region":"fsn1","bucket":"days"}',
      "trading:alpacaKeyId": "PK",
    });

    const all = { ...pulumi, ...secretVariables(), ...passphrase };
    const done = await run(["--answers", "answers.json"], cwd, all);
    assert.equal(done.code, 0, done.stderr);
    const text = readFileSync(file, "utf8");
    assertNothingShown(text + done.stdout + done.stderr);
    const comments = (written: string) => written.split("\n").filter((line) => line.trim().startsWith("#"));
    assert.deepEqual(comments(text), comments(before));
    const { config } = parseDocument(text).toJS() as { config: Record<string, { secure?: string }> };
    for (const name of secretKeys) assert.match(config[`trading:${name}`]?.secure ?? "", /^v1:/, name);
    assert.equal(
      readdirSync(cwd).some((name) => name.startsWith(".Pulumi")),
      false,
    );

    const wrong = await run(["--check"], cwd, { ...pulumi, PULUMI_CONFIG_PASSPHRASE: "another" });
    assert.equal(wrong.code, 1);
    assert.match(wrong.stderr, /passphrase does not open/);
    const checked = await run(["--check"], cwd, { ...pulumi, ...passphrase });
    assert.equal(checked.code, 0, checked.stderr);
    assert.equal(readFileSync(file, "utf8"), text);
  },
);
