/**
 * A real Kubernetes control plane on this machine, for as long as it is wanted: etcd, API server, controller manager and
 * scheduler as released, with RBAC and the default admission plugins; and kwok, which plays the kubelets. SIMULATED are
 * nodes, containers, networking and storage: nothing that is scheduled really runs.
 *
 *   const controlPlane = await startControlPlane({ directory: ".lab/kubernetes" });
 *   await controlPlane.api.apply(object, { fieldManager: "test" });
 *   await controlPlane.stop();
 */
import { execFile } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import { labDirectories } from "../directories.ts";
import { findFreePorts } from "../kafka/ports.ts";
import { type LabProcess, ProcessRegistry } from "../processes.ts";
import { KubernetesApi } from "./api.ts";
import { ControlPlaneError } from "./errors.ts";
import { type ControlPlaneBinaries, installControlPlane } from "./install.ts";
import {
  apiServer,
  certificateDirectory,
  controllerManager,
  etcd,
  kubeconfig,
  kubeconfigPath,
  kwok,
  type Layout,
  type Program,
  scheduler,
  serverUrl,
} from "./programs.ts";

/** Longest from start to Ready; three seconds are usual on an idle machine. */
const readyDeadlineMs = 120_000;
/** Between two looks at whether the API server is ready. */
const lookEveryMs = 100;
/** What a program may take to end by itself. */
const stopGraceMs = 10_000;

export interface ControlPlaneArguments {
  /** Data, certificates and logs; made anew with mode 0700, and removed by stop(), the logs excepted. */
  directory: string;
  /** Where the binary is built or found. Default: the lab's cache. */
  cacheDirectory?: string;
  registry?: ProcessRegistry;
  onProgress?: (line: string) => void;
  /** Ends the start early. */
  signal?: AbortSignal | undefined;
}

export interface ControlPlane {
  /** As an administrator (group `system:masters`). */
  readonly api: KubernetesApi;
  /** File with the administrator's kubeconfig, mode 0600. */
  readonly kubeconfig: string;
  /** One log per program. */
  readonly logDirectory: string;
  /** Resolves with an error when a program ends that was not told to. */
  readonly failed: Promise<ControlPlaneError>;
  /** Ends every program, waits until it is gone, and removes the data. Safe to call twice. */
  stop(): Promise<void>;
}

/** The last lines of a program's log. */
function tail(file: string): string {
  return existsSync(file)
    ? readFileSync(file, "utf8").trimEnd().split("\n").slice(-12).join("\n  ")
    : "(no log)";
}

/**
 * Builds what is not in the cache, and starts.
 * @throws ControlPlaneUnavailableError when it cannot be built here; ControlPlaneError with the log's last lines when it is not
 *   Ready within two minutes.
 */
export async function startControlPlane(args: ControlPlaneArguments): Promise<ControlPlane> {
  const { cacheDirectory = labDirectories.cache, signal } = args;
  mkdirSync(args.directory, { recursive: true, mode: 0o700 });
  chmodSync(args.directory, 0o700);
  const registry = args.registry ?? new ProcessRegistry(path.join(args.directory, "processes"));
  const binaries = await installControlPlane({
    cacheDirectory,
    registry,
    signal,
    ...(args.onProgress === undefined ? {} : { onProgress: args.onProgress }),
  });
  const run = new Run(path.resolve(args.directory), binaries, registry);
  try {
    return await run.start(signal);
  } catch (error) {
    await run.stop();
    throw error;
  }
}

class Run {
  readonly #directory: string;
  readonly #binaries: ControlPlaneBinaries;
  readonly #registry: ProcessRegistry;
  readonly #logDirectory: string;
  /** In the order of their start. */
  readonly #processes: LabProcess[] = [];
  #api: KubernetesApi | undefined;
  #isStopping = false;
  #fail: (error: ControlPlaneError) => void = () => undefined;
  readonly #failed = new Promise<ControlPlaneError>((resolve) => (this.#fail = resolve));

  constructor(directory: string, binaries: ControlPlaneBinaries, registry: ProcessRegistry) {
    this.#directory = directory;
    this.#binaries = binaries;
    this.#registry = registry;
    this.#logDirectory = path.join(directory, "logs");
  }

  async start(signal: AbortSignal | undefined): Promise<ControlPlane> {
    const layout = await this.#prepare();
    const identity = path.join(certificateDirectory(layout), "admin");
    const api = new KubernetesApi({
      server: serverUrl(layout),
      authority: readFileSync(path.join(certificateDirectory(layout), "authority.crt"), "utf8"),
      certificate: readFileSync(`${identity}.crt`, "utf8"),
      key: readFileSync(`${identity}.key`, "utf8"),
    });
    this.#api = api;
    await this.#launch(etcd(layout));
    // It waits for etcd by itself.
    await this.#launch(apiServer(layout));
    await this.#until(
      "the API server is ready",
      signal,
      async () => (await api.send("GET", "/readyz")).status === 200,
    );
    await Promise.all(
      [controllerManager(layout), scheduler(layout), kwok(layout, this.#binaries.stages)].map((program) =>
        this.#launch(program),
      ),
    );
    // The controller manager is at work when it has given the namespace what every pod needs.
    const account = {
      apiVersion: "v1",
      kind: "ServiceAccount",
      metadata: { name: "default", namespace: "default" },
    };
    await this.#until(
      "the controller manager works",
      signal,
      async () => (await api.get(account)) !== undefined,
    );
    return {
      api,
      kubeconfig: kubeconfigPath(layout, "admin"),
      logDirectory: this.#logDirectory,
      failed: this.#failed,
      stop: () => this.stop(),
    };
  }

  /** Folders, certificates, kubeconfigs; all readable by their owner only. */
  async #prepare(): Promise<Layout> {
    for (const name of ["etcd", "certificates", "logs"])
      rmSync(path.join(this.#directory, name), { recursive: true, force: true });
    const [apiPort = 0, etcdPort = 0, etcdPeerPort = 0] = await findFreePorts(3);
    const layout: Layout = { directory: this.#directory, apiPort, etcdPort, etcdPeerPort };
    const certificates = certificateDirectory(layout);
    for (const folder of [
      this.#directory,
      certificates,
      this.#logDirectory,
      path.join(this.#directory, "etcd"),
    ])
      mkdirSync(folder, { recursive: true, mode: 0o700 });
    await promisify(execFile)(this.#binaries.program, ["certificates", certificates], { timeout: 30_000 });
    const { privateKey } = generateKeyPairSync("rsa", {
      modulusLength: 2048,
      privateKeyEncoding: { type: "pkcs8", format: "pem" },
      publicKeyEncoding: { type: "spki", format: "pem" },
    });
    writeFileSync(path.join(certificates, "service-accounts.key"), privateKey, { mode: 0o600 });
    for (const identity of ["admin", "controller-manager", "scheduler", "kwok"])
      writeFileSync(kubeconfigPath(layout, identity), kubeconfig(layout, identity), { mode: 0o600 });
    return layout;
  }

  async #launch({ name, args }: Program): Promise<void> {
    const logFile = path.join(this.#logDirectory, `${name}.log`);
    const log = openSync(logFile, "w", 0o600);
    try {
      const started = await this.#registry.start(name, this.#binaries.program, [name, ...args], {
        cwd: this.#directory,
        // No proxy, no kubeconfig and no settings of the person who runs this.
        env: { PATH: process.env["PATH"] ?? "", HOME: this.#directory },
        stdio: ["ignore", log, log],
      });
      this.#processes.push(started);
      void started.exited.then((code) => {
        if (this.#isStopping) return;
        const how = code === null ? "was ended by a signal" : `ended with exit code ${code}`;
        this.#fail(new ControlPlaneError(`${name} ${how}. Its log ends:\n  ${tail(logFile)}`));
      });
    } finally {
      closeSync(log);
    }
  }

  async #until(what: string, signal: AbortSignal | undefined, look: () => Promise<boolean>): Promise<void> {
    const end = performance.now() + readyDeadlineMs;
    let failure: ControlPlaneError | undefined;
    void this.#failed.then((error) => (failure = error));
    for (;;) {
      signal?.throwIfAborted();
      if (await look().catch(() => false)) return;
      if (failure !== undefined) throw failure as Error;
      if (performance.now() > end) {
        const logs = this.#processes.map(
          ({ name }) => `${name}:\n  ${tail(path.join(this.#logDirectory, `${name}.log`))}`,
        );
        throw new ControlPlaneError(
          `The control plane is not up after ${readyDeadlineMs / 1_000} s: expected that ${what}. Logs end:\n${logs.join("\n")}`,
        );
      }
      await delay(lookEveryMs);
    }
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    this.#api?.close();
    // Backwards: nobody loses the one that it talks to.
    for (const running of [...this.#processes].reverse()) await running.stop(stopGraceMs);
    this.#processes.length = 0;
    for (const name of ["etcd", "certificates"])
      rmSync(path.join(this.#directory, name), { recursive: true, force: true });
    for (const identity of ["admin", "controller-manager", "scheduler", "kwok"])
      rmSync(kubeconfigPath({ directory: this.#directory } as Layout, identity), { force: true });
  }
}
