/**
 * Builds the control plane from Go modules into the lab's cache: etcd, kube-apiserver, kube-controller-manager,
 * kube-scheduler and kwok, as one binary (see control-plane/main.go). Sums of all modules stand in control-plane/go.sum.
 *
 * A cold build takes minutes on two cores, nearly all of it compiling; so the compiler is spared the debug information,
 * and there is one link instead of five. What is in the cache takes no time.
 */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { ProcessRegistry } from "../processes.ts";
import { goUnavailable, runTool, type Tool } from "./run-tool.ts";

const sources = fileURLToPath(new URL("control-plane", import.meta.url));

/**
 * The Kubernetes that the lab runs, as control-plane/go.mod has it. The module proxy has no newer patch of the minor
 * version that k3s is pinned to in components/versions.ts.
 */
export const kubernetesVersion = "v1.36.3";

/** Longest build: about five minutes are usual on two idle cores. */
const buildDeadlineMs = 1_500_000;
/** Between two lines of progress. */
const progressEveryMs = 15_000;

const goHint = "Install Go 1.26 or newer: https://go.dev/dl.";

export interface InstallArguments {
  /** The lab's cache, for example `.lab/cache`; about 150 MB are put there, and some GB into Go's own caches. */
  cacheDirectory: string;
  /** Told what is being done, one short line at a time. */
  onProgress?: (line: string) => void;
  /** Who ends the tools if the lab is stopped meanwhile; default: one of its own below the cache. */
  registry?: ProcessRegistry;
  signal?: AbortSignal | undefined;
}

/** What the build leaves. */
export interface ControlPlaneBinaries {
  /** Takes the program's name as its first argument: `etcd`, `kube-apiserver`, … */
  program: string;
  /** Files with kwok's stages: what becomes of nodes and pods, and when. */
  stages: string[];
}

/** Kwok's own stages, in its module: nodes are Ready at once and keep their lease, pods run at once. */
const stageFolders = ["node/fast", "node/heartbeat-with-lease", "pod/fast"];

/** Another source, version or sum is another folder: a new build never mixes with an old one. */
async function fingerprint(): Promise<string> {
  const hash = createHash("sha256");
  for (const file of (await readdir(sources)).sort()) {
    if (file === "go.sum" || file === "go.mod" || file.endsWith(".go"))
      hash.update(`${file}\n`).update(await readFile(path.join(sources, file)));
  }
  return hash.digest("hex").slice(0, 12);
}

async function found(target: string): Promise<ControlPlaneBinaries | undefined> {
  if (!existsSync(path.join(target, "complete"))) return undefined;
  const stages = (await readdir(path.join(target, "stages"))).sort();
  return {
    program: path.join(target, "control-plane"),
    stages: stages.map((file) => path.join(target, "stages", file)),
  };
}

/**
 * Makes the control plane's binary available; does nothing when it is already there.
 * @throws ControlPlaneUnavailableError when Go is missing or too old, or modules cannot be fetched; ControlPlaneError when it does
 *   not compile; with Go's own words.
 */
export async function installControlPlane(args: InstallArguments): Promise<ControlPlaneBinaries> {
  const { cacheDirectory, onProgress = () => undefined } = args;
  const target = path.resolve(cacheDirectory, `control-plane-${await fingerprint()}`);
  const present = await found(target);
  if (present !== undefined) return present;
  const partial = `${target}.partial-${process.pid}`;
  await mkdir(path.join(partial, "stages"), { recursive: true });
  try {
    await build({ ...args, onProgress }, partial);
    await writeFile(path.join(partial, "complete"), `${kubernetesVersion}\n`);
    await rename(partial, target).catch((error: unknown) => {
      if (!existsSync(path.join(target, "complete"))) throw error; // otherwise another build was faster
    });
  } finally {
    await rm(partial, { recursive: true, force: true });
  }
  return (await found(target)) ?? Promise.reject(new Error(`${target} is gone`));
}

async function build(args: InstallArguments & { onProgress: (line: string) => void }, partial: string) {
  const registry = args.registry ?? new ProcessRegistry(path.join(args.cacheDirectory, "processes"));
  const go = (
    goArgs: readonly string[],
    differs: Partial<Pick<Tool, "onLine" | "unavailable">> = {},
  ): Promise<string> =>
    runTool({
      name: "control-plane-build",
      // Behind everything else that this machine does.
      command: "nice",
      args: ["-n", "15", "go", ...goArgs],
      directory: sources,
      // Nothing of it is C; and no other toolchain than the one that is here is fetched.
      environment: { CGO_ENABLED: "0", GOTOOLCHAIN: "local", GOWORK: "off" },
      deadlineMs: buildDeadlineMs,
      install: goHint,
      registry,
      signal: args.signal,
      ...differs,
    });
  args.onProgress(`building Kubernetes ${kubernetesVersion} from Go modules (about five minutes, once)`);
  const began = performance.now();
  // Fetches every module that is needed; what comes after works with what is there.
  const listed = await go(["list", "-mod=readonly", "-deps", "."], { unavailable: goUnavailable });
  const packages = listed.trim().split("\n").length;
  let compiled = 0;
  let toldAt = began;
  const version = "k8s.io/component-base/version";
  const [, major, minor] = /^v(\d+)\.(\d+)/.exec(kubernetesVersion) ?? [];
  const stamps = { gitVersion: kubernetesVersion, gitMajor: major, gitMinor: minor };
  const linked = Object.entries(stamps).map(([name, value]) => `-X ${version}.${name}=${value}`);
  await go(
    [
      "build",
      "-v",
      "-mod=readonly",
      "-trimpath",
      "-gcflags=all=-dwarf=false",
      `-ldflags=-s -w ${linked.join(" ")}`,
      "-o",
      path.join(partial, "control-plane"),
      ".",
    ],
    {
      onLine: () => {
        compiled++;
        if (performance.now() - toldAt < progressEveryMs) return;
        toldAt = performance.now();
        args.onProgress(
          `Kubernetes: ${compiled} of at most ${packages} packages compiled after ${Math.round((toldAt - began) / 1000)} s`,
        );
      },
    },
  );
  const kwok = (await go(["list", "-mod=readonly", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/kwok"])).trim();
  for (const folder of stageFolders) {
    const directory = path.join(kwok, "kustomize", "stage", folder);
    for (const file of await readdir(directory)) {
      if (!file.endsWith(".yaml") || file === "kustomization.yaml") continue;
      await writeFile(path.join(partial, "stages", file), await readFile(path.join(directory, file)));
    }
  }
  args.onProgress(`Kubernetes is built (${Math.round((performance.now() - began) / 1000)} s)`);
}
