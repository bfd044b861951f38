/**
 * A cluster's `up` and `destroy` in model time: the whole unmodified program of a stack, hosted by the lab's engine,
 * against the simulated Hetzner Cloud with the latencies of the real one, with a cluster that is played. The clock moves
 * only while everything waits, so the times are the model's and not this machine's.
 */
import { setMaxListeners } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { parseAllDocuments } from "yaml";
import { labStackConfiguration } from "../lab/day/stack-config.ts";
import { labDirectories, projectDirectory } from "../lab/directories.ts";
import { destroy, type EngineEvent, type EngineOptions, up } from "../lab/engine/index.ts";
import { startHetzner, type StageSpan } from "../lab/hetzner/index.ts";
import { ModelCluster } from "../lab/model-time/cluster.ts";
import { ModelClock, standingStill } from "../lab/model-time/model-clock.ts";
import { nobodyThere } from "../lab/nobody-there.ts";
import { startObjectStore } from "../lab/objectstore/index.ts";

/** A stage with its times in model ms since the begin of the `up`. */
export interface TimedStage {
  /** A server, `hetzner` for the rest of the project, or `pulumi` for the program's resources. */
  row: string;
  stage: string;
  from: number;
  to: number;
}

/** What was measured; all times in model milliseconds. */
export interface InfrastructureRun {
  /** From the start until the program had come to its end. */
  upMs: number;
  /** From the start until everything that it set in motion was Ready: services, Prometheus, Argo CD. */
  readyMs: number;
  /** Requests to the Hetzner API during the `up`. */
  requests: number;
  created: number;
  /** From the end of the export gate until the account was empty. */
  destroyMs: number;
  destroyRequests: number;
  /** What the account still held afterwards: nothing. */
  left: string[];
  stages: TimedStage[];
  destroyStages: TimedStage[];
}

/** What Argo CD finds in Git. */
function objectsInGit(): object[] {
  const base = path.join(projectDirectory, "k8s", "base");
  return readdirSync(base, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".yaml") && path.basename(file) !== "kustomization.yaml")
    .flatMap((file) =>
      parseAllDocuments(readFileSync(path.join(base, file), "utf8")).map(
        (document) => document.toJS() as object,
      ),
    );
}

/** Collects the program's resources as stages. */
class ResourceStages {
  readonly stages: TimedStage[] = [];
  readonly #began = new Map<string, number>();
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  readonly onEvent = (event: EngineEvent): void => {
    if (event.kind === "resource-started") this.#began.set(event.urn, this.#now());
    if (event.kind !== "resource-finished" && event.kind !== "resource-failed") return;
    const from = this.#began.get(event.urn);
    if (event.component || from === undefined || event.operation === "same") return;
    this.stages.push({ row: "pulumi", stage: `${event.operation} ${event.name}`, from, to: this.#now() });
  };

  /** When the last resource of a name's end was done. */
  doneAt(suffix: string): number {
    return Math.max(0, ...this.stages.filter(({ stage }) => stage.endsWith(suffix)).map(({ to }) => to));
  }
}

function stagesOf(spans: readonly StageSpan[], from: number, origin: number): TimedStage[] {
  return spans
    .filter(({ began, ended }) => ended !== null && began.getTime() >= from)
    .map(({ subject, stage, began, ended }) => ({
      row: subject.startsWith("server/") ? subject.slice("server/".length) : "hetzner",
      stage: subject.startsWith("server/") ? stage : `${stage} ${subject}`,
      from: began.getTime() - origin,
      to: Number(ended) - origin,
    }));
}

/**
 * Brings a stack up and destroys it, once.
 * @param stack `dev` or `prod`: everything but endpoints and secrets is as its file says
 * @param signal ends it early; the account is then left as it is, in memory only
 * @throws what the engine throws; ModelTimeUnavailableError where there is no /proc; NeverQuietError
 */
export async function runInfrastructure(
  stack: string,
  progress: (line: string) => void,
  signal: AbortSignal,
): Promise<InfrastructureRun> {
  const directory = mkdtempSync(path.join(tmpdir(), "infrastructure-"));
  const store = await startObjectStore({
    directory: path.join(directory, "s3"),
    cacheDirectory: labDirectories.cache,
  });
  const hetzner = await startHetzner({ latency: "model", speed: standingStill });
  const cluster = new ModelCluster(hetzner.world, objectsInGit());
  const clock = new ModelClock(hetzner.clock);
  const ending = AbortSignal.any([signal, clock.stuck]);
  // Every wait of every resource listens.
  setMaxListeners(0, ending);
  try {
    const { values, secretKeys } = labStackConfiguration(projectDirectory, stack, {
      hetzner,
      s3: store,
      renderDirectory: path.join(directory, "rendered"),
      ...nobodyThere,
    });
    const options: EngineOptions = {
      projectDirectory,
      stack,
      // Argo CD, as the stack's file says.
      config: { ...values, "trading:delivery": "gitops" },
      secretKeys,
      stateFile: path.join(directory, `${stack}.json`),
      passphrase: "throwaway",
      clock: hetzner.clock,
      kubernetes: cluster,
      signal: ending,
    };
    const began = clock.now();
    const since = (): number => clock.now() - began;

    const upResources = new ResourceStages(since);
    const { created } = await up({ ...options, onEvent: upResources.onEvent });
    const upMs = since();
    progress(`up: ${(upMs / 1_000).toFixed(1)} s of model time`);
    const requests = hetzner.project.requests().length;
    await cluster.settled();
    const readyMs = since();
    progress(`everything Ready: ${(readyMs / 1_000).toFixed(1)} s of model time`);
    const stages = [...stagesOf(hetzner.project.timeline(), began, began), ...upResources.stages];

    const destroyBegan = clock.now();
    const downResources = new ResourceStages(() => clock.now() - destroyBegan);
    await destroy({ ...options, onEvent: downResources.onEvent });
    const destroyedAfter = clock.now() - destroyBegan;
    return {
      upMs,
      readyMs,
      requests,
      created,
      destroyMs: destroyedAfter - downResources.doneAt("gate-sealed-archive"),
      destroyRequests: hetzner.project.requests().length - requests,
      left: hetzner.project.billable().map((billed) => JSON.stringify(billed)),
      stages,
      destroyStages: [
        ...stagesOf(hetzner.project.timeline(), destroyBegan, destroyBegan),
        ...downResources.stages,
      ],
    };
  } finally {
    cluster.stop();
    // Whoever waits by the simulator's time goes on at once when it ends; the clock needs nobody any more.
    await hetzner.close();
    try {
      await clock.stop();
    } finally {
      await store.stop();
      rmSync(directory, { recursive: true, force: true });
    }
  }
}
