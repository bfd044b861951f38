/**
 * Runs the stack's workloads as local processes, from the rendered Kubernetes objects: Jobs to their end first, then
 * Deployments and StatefulSets, restarted with back-off when they exit. It stands in for kubelet and controllers;
 * scheduling, images, probes of liveness and network policies are not exercised.
 */
import { closeSync, mkdirSync, openSync, readFileSync } from "node:fs";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { findFreePorts } from "../kafka/ports.ts";
import type { LabProcess, ProcessRegistry } from "../processes.ts";
import { mapVolumes, resolveEnvironment } from "./environment.ts";
import { WorkloadError } from "./errors.ts";
import { type Container, readObjects, type RenderedObjects, type Workload } from "./objects.ts";
import { programOf } from "./programs.ts";

export { WorkloadError } from "./errors.ts";
export { objectsOf, type RenderedObjects } from "./objects.ts";

/** Kubernetes waits 10 s before the first restart and doubles; the lab begins sooner. */
const firstRestartMs = 500;
const longestRestartMs = 10_000;
/** A process that ran this long is restarted without delay debt. */
const stableMs = 10_000;
const readyDeadlineMs = 120_000;
const jobDeadlineMs = 300_000;

export interface WorkloadsArguments {
  /** Folder with the rendered objects, read recursively; or the objects themselves. */
  objects: string | RenderedObjects;
  registry: ProcessRegistry;
  /** One log file per pod is written here. */
  logDirectory: string;
  /** Volumes of the pods are folders below this. */
  volumeDirectory: string;
  /** Where the containers' commands run: the repository's root, as in the images. */
  workingDirectory: string;
  /**
   * More variables of a workload's pods, over those of the objects: what a lab's cluster has in another place than a real
   * one. Asked once, when the pods' ports are known.
   */
  environment?: (workload: string, pods: readonly Pick<Pod, "name" | "port">[]) => Record<string, string>;
  /** Told in one line what starts, ends and is restarted. */
  onEvent?: (line: string) => void;
}

/** One pod as a process. */
export interface Pod {
  readonly name: string;
  /** Port of health and metrics on 127.0.0.1. */
  readonly port: number;
  readonly logFile: string;
  /** How often it was restarted. */
  readonly restarts: number;
  /** The process that runs now; absent between an exit and the restart. */
  readonly process: LabProcess | undefined;
}

export interface Workloads {
  readonly pods: readonly Pod[];
  /** Resolves when every pod's readiness probe succeeds. @throws WorkloadError with the last log lines of the pods that are not. */
  ready(): Promise<void>;
  /** SIGTERM, the grace time, then SIGKILL; no restarts any more. */
  stop(graceMs?: number): Promise<void>;
}

/** The last lines of a log, for an error message. */
export function tail(file: string, lines = 15): string {
  try {
    return readFileSync(file, "utf8").trimEnd().split("\n").slice(-lines).join("\n");
  } catch {
    return "(no log)";
  }
}

class RunningPod implements Pod {
  readonly name: string;
  readonly port: number;
  readonly logFile: string;
  readonly #container: Container;
  readonly #program: readonly string[];
  /** Of the process. */
  readonly environment: Record<string, string>;
  readonly #args: WorkloadsArguments;
  restarts = 0;
  process: LabProcess | undefined;
  #stopped = false;
  #loop: Promise<void> = Promise.resolve();
  readonly #end = new AbortController();

  constructor(
    name: string,
    workload: Workload,
    port: number,
    objects: RenderedObjects,
    args: WorkloadsArguments,
  ) {
    const [container] = workload.spec.template.spec.containers as [Container];
    const { namespace } = workload.metadata;
    this.name = name;
    this.port = port;
    this.logFile = path.join(args.logDirectory, `${name}.log`);
    this.#container = container;
    this.#program = programOf(container, `${namespace}/${name}`);
    this.#args = args;
    const resolved = resolveEnvironment(container, namespace, `${namespace}/${name}`, objects);
    const { environment, folders } = mapVolumes(container, resolved, path.join(args.volumeDirectory, name));
    for (const folder of folders) mkdirSync(folder, { recursive: true });
    // Only what a container would have, and a port of its own: pods have addresses of their own.
    this.environment = {
      ...Object.fromEntries(
        ["PATH", "HOME", "TMPDIR"].flatMap((key) =>
          process.env[key] === undefined ? [] : [[key, process.env[key]]],
        ),
      ),
      ...environment,
      HTTP_PORT: String(port),
    };
  }

  get probePath(): string | undefined {
    return this.#container.readinessProbe?.httpGet.path;
  }

  /** Starts the process once. */
  async start(): Promise<LabProcess> {
    const log = openSync(this.logFile, "a");
    try {
      const [command = "", ...rest] = [...this.#program, ...this.#container.args];
      this.process = await this.#args.registry.start(
        this.name,
        command === "node" ? process.execPath : command,
        rest,
        { cwd: this.#args.workingDirectory, env: this.environment, stdio: ["ignore", log, log] },
      );
      return this.process;
    } finally {
      closeSync(log);
    }
  }

  /** Keeps the process running until stop(). */
  async keepRunning(): Promise<void> {
    await this.start();
    this.#loop = this.#restart();
  }

  async #restart(): Promise<void> {
    let wait = firstRestartMs;
    while (!this.#stopped && this.process !== undefined) {
      const began = performance.now();
      const code = await this.process.exited;
      this.process = undefined;
      if (this.#stopped) return;
      if (performance.now() - began > stableMs) wait = firstRestartMs;
      this.#args.onEvent?.(`${this.name} ended with ${code ?? "a signal"}, restarting in ${wait} ms`);
      await delay(wait, undefined, { signal: this.#end.signal }).catch(() => {});
      if (this.#stopped) return;
      wait = Math.min(longestRestartMs, wait * 2);
      this.restarts++;
      try {
        const started = await this.start();
        // Stopped while the process was being started: stop() has not seen it.
        if (this.#isStopped()) await started.stop(0);
      } catch (error) {
        this.#args.onEvent?.(`${this.name} cannot be started again: ${String(error)}`);
        return;
      }
    }
  }

  /** Asked anew: the field changes while the loop waits. */
  #isStopped(): boolean {
    return this.#stopped;
  }

  async stop(graceMs: number): Promise<void> {
    this.#stopped = true;
    this.#end.abort();
    await this.process?.stop(graceMs);
    await this.#loop;
  }

  /** Whether the readiness probe succeeds now. */
  async isReady(): Promise<boolean> {
    if (this.probePath === undefined) return this.process !== undefined;
    try {
      const response = await fetch(`http://127.0.0.1:${this.port}${this.probePath}`, {
        signal: AbortSignal.timeout(2_000),
      });
      await response.arrayBuffer();
      return response.ok;
    } catch {
      return false;
    }
  }
}

async function runJob(workload: Workload, pod: RunningPod, args: WorkloadsArguments): Promise<void> {
  const deadline = performance.now() + jobDeadlineMs;
  for (let attempt = 0; ; attempt++) {
    const started = await pod.start();
    const code = await Promise.race([
      started.exited,
      delay(deadline - performance.now(), "late" as const, { ref: false }),
    ]);
    if (code === 0) {
      args.onEvent?.(`job ${pod.name} done`);
      return;
    }
    await started.stop();
    if (code === "late" || attempt >= workload.spec.backoffLimit) {
      throw new WorkloadError(
        `Job ${pod.name} ${code === "late" ? `did not end within ${jobDeadlineMs / 1000} s` : `failed ${attempt + 1} times`}. Its log ends:\n${tail(pod.logFile)}`,
      );
    }
    args.onEvent?.(`job ${pod.name} ended with ${code ?? "a signal"}, trying again`);
    await delay(firstRestartMs * 2 ** attempt);
  }
}

/**
 * Runs the Jobs, then starts everything else.
 * @throws WorkloadError when an object cannot be run, refers to something missing, or a Job fails; nothing is left
 *   running then.
 */
export async function startWorkloads(args: WorkloadsArguments): Promise<Workloads> {
  mkdirSync(args.logDirectory, { recursive: true });
  const objects = typeof args.objects === "string" ? readObjects(args.objects) : args.objects;
  if (objects.workloads.length === 0) {
    throw new WorkloadError(
      `${typeof args.objects === "string" ? args.objects : "the cluster"} holds no workloads`,
    );
  }
  const replicas = objects.workloads.flatMap((workload) =>
    Array.from({ length: workload.kind === "Job" ? 1 : workload.spec.replicas }, (_, index) => ({
      workload,
      index,
    })),
  );
  const ports = await findFreePorts(replicas.length);
  const pods = replicas.map(({ workload, index }, position) => {
    const { name } = workload.metadata;
    const podName = workload.kind === "StatefulSet" || workload.spec.replicas > 1 ? `${name}-${index}` : name;
    return { workload, pod: new RunningPod(podName, workload, ports[position] ?? 0, objects, args) };
  });
  for (const { workload, pod } of pods) {
    const all = pods.filter((each) => each.workload.kind !== "Job").map((each) => each.pod);
    Object.assign(pod.environment, args.environment?.(workload.metadata.name, all));
  }
  for (const { workload, pod } of pods) if (workload.kind === "Job") await runJob(workload, pod, args);

  const running = pods.filter(({ workload }) => workload.kind !== "Job").map(({ pod }) => pod);
  const stop = async (graceMs = 10_000): Promise<void> => {
    await Promise.all(running.map((pod) => pod.stop(graceMs)));
  };
  try {
    await Promise.all(running.map((pod) => pod.keepRunning()));
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    pods: running,
    stop,
    ready: async () => {
      const deadline = performance.now() + readyDeadlineMs;
      let waiting = running;
      while (waiting.length > 0) {
        const states = await Promise.all(waiting.map(async (pod) => ({ pod, ready: await pod.isReady() })));
        for (const { pod, ready } of states) if (ready) args.onEvent?.(`${pod.name} is ready`);
        waiting = states.filter(({ ready }) => !ready).map(({ pod }) => pod);
        if (waiting.length > 0 && performance.now() > deadline) {
          throw new WorkloadError(
            waiting
              .map(
                (pod) =>
                  `${pod.name} is not ready after ${readyDeadlineMs / 1000} s and ${pod.restarts} restarts. Its log ends:\n${tail(pod.logFile)}`,
              )
              .join("\n"),
          );
        }
        if (waiting.length > 0) await delay(100);
      }
    },
  };
}
