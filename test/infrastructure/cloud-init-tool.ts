/**
 * The real `cloud-init`, from Debian's package, unpacked into the lab's cache: nothing is installed on the machine and no
 * root is needed. What it imports comes from PyPI, pinned, beside it.
 */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import path from "node:path";
import { labDirectories } from "../../lab/directories.ts";

/** Debian 12's package, and the SHA-256 of its file. */
const debian = {
  version: "22.4.2-1+deb12u4",
  sha256: "c18c9b1a999268413f215371ae6382f8705a437b2b24c049d6dbafcc111a1d09",
} as const;

/** What the package depends on, as far as `cloud-init schema` imports it. */
const python = [
  "configobj==5.0.9",
  "jinja2==3.1.6",
  "jsonpatch==1.33",
  "jsonschema==4.23.0",
  "netifaces2==0.0.22",
  "oauthlib==3.3.1",
  "pyserial==3.5",
  "pyyaml==6.0.3",
  "requests==2.32.4",
];

/** How a program ended. */
export interface Ended {
  /** 127 when it could not be started, 1 when the deadline ended it. */
  code: number;
  /** Both streams, as they came. */
  output: string;
}

/** Runs a program to its end. */
export function runProgram(
  command: string,
  args: readonly string[],
  options: { cwd?: string; environment?: Record<string, string>; input?: string; deadlineMs?: number } = {},
): Promise<Ended> {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd: options.cwd,
      env: { ...process.env, ...options.environment },
      timeout: options.deadlineMs ?? 60_000,
    });
    let output = "";
    const collect = (chunk: Buffer) => (output += chunk.toString("utf8"));
    child.stdout.on("data", collect);
    child.stderr.on("data", collect);
    child.stdin.on("error", () => undefined);
    child.stdin.end(options.input ?? "");
    child.once("error", (error) => resolve({ code: 127, output: `${command}: ${error.message}` }));
    child.once("close", (code) => resolve({ code: code ?? 1, output }));
  });
}

/** Fetches the package into a folder. @returns its file; or in words why not */
async function fetchPackage(folder: string): Promise<{ file: string } | { reason: string }> {
  const own = path.join(folder, "apt");
  mkdirSync(path.join(own, "lists", "partial"), { recursive: true });
  mkdirSync(path.join(own, "cache", "archives", "partial"), { recursive: true });
  const sandbox = ["-o", "APT::Sandbox::User=root"];
  // Package lists of our own, for machines that have none yet or do not let us write theirs.
  const ownLists = [
    ...sandbox,
    ...["-o", `Dir::State::lists=${path.join(own, "lists")}`, "-o", `Dir::Cache=${path.join(own, "cache")}`],
  ];
  const apt = (...args: string[]) => runProgram("apt-get", args, { cwd: folder, deadlineMs: 120_000 });
  const found = () => readdirSync(folder).find((name) => name.endsWith(".deb"));
  const pinned = `cloud-init=${debian.version}`;
  await apt(...sandbox, "download", pinned);
  let last: Ended | undefined;
  if (found() === undefined) {
    await apt(...ownLists, "update");
    last = await apt(...ownLists, "download", pinned);
  }
  // Debian keeps one version at a time. A newer one is signed by it all the same.
  if (found() === undefined) last = await apt(...ownLists, "download", "cloud-init");
  const name = found();
  if (name === undefined)
    return { reason: `apt-get download cloud-init: ${last?.output.trim() ?? "no file"}` };
  const file = path.join(folder, name);
  const sha256 = createHash("sha256").update(readFileSync(file)).digest("hex");
  if (!name.includes(encodeURIComponent(debian.version)) && !name.includes(debian.version)) {
    console.error(`cloud-init ${debian.version} is no longer served, checked with ${name}: raise the pin`);
  } else if (sha256 !== debian.sha256) {
    throw new Error(`${name} has the SHA-256 ${sha256}, expected ${debian.sha256}: do not use it`);
  }
  return { file };
}

/** A cloud-init that can be run. */
export interface CloudInit {
  /** The schema that it checks by, as JSON text. */
  schema: string;
  /** `cloud-init schema --config-file`. */
  checkSchema(file: string): Promise<Ended>;
}

/**
 * Makes cloud-init available; takes a few seconds the first time, and nothing then.
 * @returns in words why not, when the package or what it needs cannot be fetched
 * @throws Error when what was fetched has another checksum
 */
export async function installCloudInit(): Promise<CloudInit | string> {
  const directory = path.join(labDirectories.cache, `cloud-init-${debian.version}`);
  if (!existsSync(directory)) {
    const unfinished = `${directory}.${process.pid}`;
    mkdirSync(unfinished, { recursive: true });
    try {
      const fetched = await fetchPackage(unfinished);
      if ("reason" in fetched) return fetched.reason;
      const unpacked = await runProgram("dpkg-deb", ["-x", fetched.file, path.join(unfinished, "package")]);
      if (unpacked.code !== 0) return `dpkg-deb: ${unpacked.output.trim()}`;
      const pip = ["-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--quiet"];
      const target = [
        "--no-warn-conflicts",
        "--root-user-action=ignore",
        "--target",
        path.join(unfinished, "lib"),
      ];
      const installed = await runProgram("python3", [...pip, ...target, ...python], { deadlineMs: 180_000 });
      if (installed.code !== 0) return `pip: ${installed.output.trim()}`;
      rmSync(path.join(unfinished, "apt"), { recursive: true, force: true });
      renameSync(unfinished, directory);
    } finally {
      rmSync(unfinished, { recursive: true, force: true });
    }
  }
  const modules = path.join(directory, "package/usr/lib/python3/dist-packages");
  const environment = { PYTHONPATH: [path.join(directory, "lib"), modules].join(path.delimiter) };
  const program = path.join(directory, "package/usr/bin/cloud-init");
  return {
    schema: readFileSync(path.join(modules, "cloudinit/config/schemas/schema-cloud-config-v1.json"), "utf8"),
    checkSchema: (file) =>
      runProgram("python3", [program, "schema", "--config-file", file], { environment, deadlineMs: 120_000 }),
  };
}
