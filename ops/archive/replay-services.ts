/**
 * The services of a replay: which of the catalog's can be replayed, and how they are started, as processes by their own
 * entry points with the day's identity. Never one that has secrets or writes anything but normalized events and
 * commands: executors, ingestors and the monitor are none of them.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createWriteStream, mkdirSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import type { ReplayedService, StartedServices } from "../../services/archive/replay.ts";
import { topics as registry, type TopicDefinition } from "../../services/bus/topics.ts";
import { catalog, type Deployable } from "../../services/catalog.ts";
import { UsageError } from "../run.ts";

/** A service that can be replayed. */
export interface ReplayableService extends ReplayedService {
  /** Below the repository's root. */
  entry: string;
}

/** A service of a replay ended, or did not become ready. */
export class ReplayServiceError extends Error {
  override readonly name = "ReplayServiceError";
}

/** Whether a replay may start it: everything that it makes follows from topics alone. */
function isReplayable({ kind, reads, writes, secrets, probes = [], recovers = [] }: Deployable): boolean {
  const isOf = (classes: readonly string[]) => (topic: string) => {
    const all: readonly TopicDefinition[] = Object.values(registry);
    const known = all.find(({ name }) => name === topic);
    return known !== undefined && classes.includes(known.class);
  };
  return (
    kind === "Deployment" &&
    secrets.length + probes.length + recovers.length === 0 &&
    reads.length > 0 &&
    writes.length > 0 &&
    reads.every(isOf(["raw", "norm"])) &&
    writes.every(isOf(["norm", "cmd"]))
  );
}

/** All services that can be replayed, with the topics of a business date. */
export function replayableServices(businessDate: string): ReplayableService[] {
  const dated = (names: readonly string[]) =>
    names.map((name) => name.replace("<business-date>", businessDate));
  return catalog
    .filter(isReplayable)
    .map(({ name, entry, reads, writes }) => ({ name, entry, reads: dated(reads), writes: dated(writes) }));
}

/**
 * The chosen ones of them.
 * @param names undefined: all.
 * @throws UsageError that names everything that cannot be replayed, and what can.
 */
export function chooseServices(
  all: readonly ReplayableService[],
  names: readonly string[] | undefined,
): ReplayableService[] {
  const unknown = (names ?? []).filter((name) => !all.some((service) => service.name === name));
  if (unknown.length > 0 || names?.length === 0) {
    throw new UsageError(
      `--services: found ${unknown.join(", ") || "nothing"}, expected some of ${all.map(({ name }) => name).join(", ")}: ` +
        "only services that follow from topics alone can be replayed, never one that talks to a venue.",
    );
  }
  return all.filter(({ name }) => names?.includes(name) ?? true);
}

/** Arguments of {@link startServices}. */
export interface StartOptions {
  services: readonly ReplayableService[];
  /** Common to all: the day's identity, the target's brokers, settings. */
  environment: Readonly<Record<string, string>>;
  /** Folder for one log file a service; undefined: only the last lines are kept, for error messages. */
  logs: string | undefined;
  signal: AbortSignal;
}

const root = fileURLToPath(new URL("../..", import.meta.url));
const readyDeadlineMs = 90_000;
/** Longer than a service's own deadline for an orderly stop. */
const stopGraceMs = 30_000;

/**
 * Starts all of them; resolves when all are ready. When one does not become ready, or on the signal, all are ended.
 * @throws ReplayServiceError with the service's last words; the signal's reason.
 */
export async function startServices(options: StartOptions): Promise<StartedServices> {
  if (options.logs !== undefined) mkdirSync(options.logs, { recursive: true });
  const running = options.services.map((service) => new ServiceProcess(service, options));
  const failed = Promise.race(running.map((service) => service.failed));
  failed.catch(() => undefined);
  const aborted = new Promise<never>((_resolve, reject) => {
    const end = (): void => reject(options.signal.reason as Error);
    if (options.signal.aborted) end();
    options.signal.addEventListener("abort", end, { once: true });
  });
  aborted.catch(() => undefined);
  const stop = async (): Promise<void> => {
    const ends = await Promise.allSettled(running.map((service) => service.stop()));
    for (const end of ends) if (end.status === "rejected") throw end.reason;
  };
  try {
    await Promise.race([Promise.all(running.map((service) => service.ready())), failed, aborted]);
  } catch (error) {
    await stop().catch(() => undefined);
    throw error;
  }
  return { failed, stop };
}

class ServiceProcess {
  readonly #name: string;
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown>;
  #stopping = false;
  #lines: string[] = [];
  #rest = "";
  #isReady: () => void = () => undefined;
  readonly #ready: Promise<void>;
  /** Rejects when the process ends and was not told to. */
  readonly failed: Promise<never>;

  constructor({ name, entry }: ReplayableService, { environment, logs }: StartOptions) {
    this.#name = name;
    // In the command's own process group: a closed terminal ends them, too.
    this.#child = spawn(process.execPath, ["--import", "tsx", entry], {
      cwd: root,
      env: { ...inherited(), ...environment, SERVICE_NAME: name, HTTP_PORT: "0" },
      stdio: ["ignore", "pipe", "pipe"],
    });
    // However this process ends: an interrupted stop, a second Ctrl-C.
    const kill = (): void => void this.#child.kill("SIGKILL");
    process.once("exit", kill);
    const file = logs === undefined ? undefined : createWriteStream(path.join(logs, `${name}.log`));
    this.#ready = new Promise((resolve) => (this.#isReady = resolve));
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.on("data", (chunk: Buffer) => {
        file?.write(chunk);
        this.#listen(chunk.toString("utf8"));
      });
    }
    this.#exited = once(this.#child, "close").finally(() => {
      process.off("exit", kill);
      file?.end();
    });
    this.failed = this.#exited.then(
      () => {
        const { exitCode, signalCode } = this.#child;
        if (!this.#stopping) throw this.#error(`ended with ${exitCode ?? signalCode ?? "nothing"}`);
        return new Promise<never>(() => undefined);
      },
      (error: unknown) => {
        throw this.#error(`could not be started: ${String(error)}`);
      },
    );
    this.failed.catch(() => undefined);
  }

  async ready(): Promise<void> {
    const late = new AbortController();
    const deadline = new Promise<never>((_resolve, reject) => {
      const timer = setTimeout(
        () => reject(this.#error(`was not ready within ${readyDeadlineMs / 1_000} s`)),
        readyDeadlineMs,
      );
      late.signal.addEventListener("abort", () => clearTimeout(timer));
    });
    await Promise.race([this.#ready, this.failed, deadline]).finally(() => late.abort());
  }

  /** SIGTERM, and SIGKILL when that does not help. @throws ReplayServiceError when it does not end well by itself. */
  async stop(): Promise<void> {
    this.#stopping = true;
    if (this.#child.exitCode === null && this.#child.signalCode === null) this.#child.kill("SIGTERM");
    const killer = setTimeout(() => this.#child.kill("SIGKILL"), stopGraceMs);
    await this.#exited.catch(() => undefined).finally(() => clearTimeout(killer));
    const { exitCode, signalCode } = this.#child;
    if (exitCode !== 0)
      throw this.#error(`ended with ${exitCode ?? signalCode ?? "nothing"} when it was stopped`);
  }

  #listen(text: string): void {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop() ?? "";
    if (lines.some((line) => line.includes('"msg":"ready"'))) this.#isReady();
    this.#lines = [...this.#lines, ...lines].slice(-20);
  }

  #error(what: string): ReplayServiceError {
    const words = [...this.#lines, this.#rest].join("\n").trim().slice(-4_000);
    return new ReplayServiceError(
      `${this.#name} ${what}. Its last words:\n${words === "" ? "(none)" : words}`,
    );
  }
}

/** What a process on this machine needs, and nothing that could be meant for another program. */
function inherited(): Record<string, string> {
  return Object.fromEntries(
    ["PATH", "HOME", "TMPDIR", "LANG"].flatMap((name) => {
      const value = process.env[name];
      return value === undefined ? [] : [[name, value]];
    }),
  );
}
