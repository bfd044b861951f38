/**
 * Runs a program from an image's files alone, as a pod's container would: a root file system that holds nothing but Node
 * with the libraries it is linked to and the image's own files, all of it read-only but /tmp; process 1 of its own; the
 * image's user. The network is this machine's. Needs root and Linux's namespaces.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { runProgram } from "../infrastructure/cloud-init-tool.ts";
import type { Image } from "./build.ts";

/** @returns in words why containers cannot be made here; undefined when they can */
export async function whyNoContainers(): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return "a container's root file system needs root here";
  const { code, output } = await runProgram("unshare", ["--mount", "--pid", "--fork", "true"]);
  return code === 0 ? undefined : `unshare: ${output.trim()}`;
}

/** What else the package `libc6` has in every distroless image, and native packages link to or name look-ups load. */
const libcParts = ["librt.so.1", "libresolv.so.2", "libnss_dns.so.2", "libnss_files.so.2"];

/**
 * What the base image brings, as far as Node needs it: the binary and the libraries that it is linked to.
 * @param directory is written; serves any number of containers.
 */
export async function makeBase(directory: string, nodeFolder: string): Promise<void> {
  for (const folder of ["app", "dev", "etc", "nodejs/bin", "proc", "tmp"])
    mkdirSync(path.join(directory, folder), { recursive: true });
  const node = path.join(nodeFolder, "node");
  copyFileSync(node, path.join(directory, "nodejs/bin/node"));
  const { output } = await runProgram("ldd", [node]);
  const linked = [...output.matchAll(/\/\S+\.so\S*/g)].map(([library]) => library);
  const libc = path.dirname(linked.find((library) => library.includes("/libc.so")) ?? "/lib");
  for (const library of [...linked, ...libcParts.map((name) => path.join(libc, name))]) {
    mkdirSync(path.join(directory, path.dirname(library)), { recursive: true });
    copyFileSync(library, path.join(directory, library));
  }
  // Distroless knows these names and no user 1000.
  writeFileSync(
    path.join(directory, "etc/passwd"),
    "root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n",
  );
  writeFileSync(path.join(directory, "etc/hosts"), "127.0.0.1 localhost\n");
}

/** $1 the base, $2 the image's files below its working directory, $3 that directory, $4 user, $5 group, then the command. */
const script = `set -e
base=$1 files=$2 place=$3 user=$4 group=$5
shift 5
mount --make-rprivate /
mount --bind "$base" "$base"
mount --bind "$files" "$base$place"
mount -t tmpfs -o mode=1777 tmpfs "$base/tmp"
mount -t proc proc "$base/proc"
mount -t tmpfs -o mode=755 tmpfs "$base/dev"
for device in null urandom random; do
  touch "$base/dev/$device"
  mount --bind "/dev/$device" "$base/dev/$device"
done
mount -o remount,bind,ro "$base$place"
mount -o remount,bind,ro "$base"
exec unshare --root="$base" --wd="$place" --setgid="$group" --setuid="$user" "$@"
`;

export interface ContainerArguments {
  image: Image;
  /** Made by {@link makeBase}. */
  base: string;
  /** Over the image's entry point and command. */
  command?: readonly string[];
  environment?: Readonly<Record<string, string>>;
}

/** A running or ended container. */
export class Container {
  readonly #child: ChildProcess;
  /** Both streams as they come. */
  output = "";
  /** Its exit code; 128 and the signal's number when a signal ended it. */
  readonly exited: Promise<number>;

  constructor({ image, base, command, environment = {} }: ContainerArguments) {
    const { configuration, root } = image;
    const { entrypoint, workingDirectory, user } = configuration;
    const [uid = "", gid = ""] = user.split(":");
    const words = command ?? [...entrypoint, ...configuration.command];
    this.#child = spawn(
      "unshare",
      [
        ...["--mount", "--pid", "--fork", "--kill-child", "/bin/sh", "-c", script, "container", base],
        ...[path.join(root, workingDirectory), workingDirectory, uid, gid, ...words],
      ],
      // The shell before it finds its tools by the system's folders, behind those of the image.
      { env: { ...configuration.environment, ...environment }, stdio: ["ignore", "pipe", "pipe"] },
    );
    const collect = (chunk: Buffer) => (this.output += chunk.toString("utf8"));
    this.#child.stdout?.on("data", collect);
    this.#child.stderr?.on("data", collect);
    this.exited = new Promise((resolve, reject) => {
      this.#child.once("error", reject);
      this.#child.once("close", (code) => resolve(code ?? 128 + 9));
    });
  }

  /** The first process, by its number on this machine. */
  get pid(): number {
    const outer = this.#child.pid;
    const [inner] = readFileSync(`/proc/${outer}/task/${outer}/children`, "utf8").trim().split(" ");
    return Number(inner);
  }

  /** Most memory that it ever had, in MiB. */
  get peakMiB(): number {
    const status = readFileSync(`/proc/${this.pid}/status`, "utf8");
    return Math.round(Number(/VmHWM:\s+(\d+)/.exec(status)?.[1]) / 1024);
  }

  /** As the kubelet does: to process 1. */
  kill(signal: NodeJS.Signals): void {
    process.kill(this.pid, signal);
  }

  /** Ends it at once, if it still runs. */
  async remove(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.exited;
  }
}
