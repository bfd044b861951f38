/** How fast a cluster comes up and goes, in the latency model's time; with its timeline as files. */
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { nodePlans } from "../components/nodes.ts";
import { labDirectories } from "../lab/directories.ts";
import { type GanttStage, renderGantt, type StageKind } from "../ops/report/gantt.ts";
import {
  lastOfProgram,
  longestChain,
  sequentialStages,
  type Stage,
  upStages,
} from "./infrastructure-graph.ts";
import { type InfrastructureRun, runInfrastructure, type TimedStage } from "./infrastructure-world.ts";

/** A run beside what the model says that is unavoidable; times in model milliseconds. */
export interface InfrastructureResult {
  stack: string;
  /** Until the program had come to its end, until everything was Ready, and until the account was empty again. */
  measured: Omit<InfrastructureRun, "stages" | "destroyStages">;
  /** The longest chain of stages up to the last thing that the program does, and up to everything Ready. */
  unavoidable: { upMs: number; readyMs: number; chain: readonly Stage[] };
  /** Seed 000's bootstrap sequence, one thing after the other. */
  sequentialMs: number;
  /** Measured ÷ unavoidable, and sequential ÷ measured. */
  ratios: { up: number; ready: number; sequential: number };
  /** Where the timeline was written. */
  files: string[];
}

/** Stages shorter than this many seconds are not drawn. */
const shortestDrawn = 0.5;

function kindOf({ row, stage }: TimedStage): StageKind {
  if (row === "pulumi") return "program";
  if (stage.startsWith("image ")) return "image";
  if (/^(boot_|install_k3s|k3s_)/.test(stage)) return "node";
  return /_(ready|sync|installed)\b|^prepare_day/.test(stage) ? "pod" : "cloud";
}

/** For example `broker ready: kafka-0`, `image kafka:1.2.0`: short, in words. */
function nameOf({ row, stage }: TimedStage): string {
  if (row === "pulumi") return stage;
  if (stage.startsWith("image ")) return `image ${stage.slice(stage.lastIndexOf("/") + 1)}`;
  const [step = "", ...subject] = stage.split(" ");
  const words = step.replaceAll("_", " ");
  return subject.length === 0 ? words : `${words}: ${subject.at(-1)}`;
}

/** The stages in the order of the chart's places: the project, each node, the program. */
function ganttStages(stack: string, stages: readonly TimedStage[]): GanttStage[] {
  const places = ["hetzner", ...nodePlans.map(({ nodeName }) => `${stack}-${nodeName}`), "pulumi"];
  return places.flatMap((place) =>
    stages
      .filter(({ row }) => row === place)
      .map((stage) => ({
        place,
        name: nameOf(stage),
        kind: kindOf(stage),
        from: stage.from / 1_000,
        to: stage.to / 1_000,
      })),
  );
}

function writeTimeline(stack: string, what: "up" | "destroy", stages: readonly TimedStage[]): string[] {
  const folder = path.join(labDirectories.root, "bench");
  mkdirSync(folder, { recursive: true });
  const base = path.join(folder, `infrastructure-${stack}-${what}`);
  const title = `${what} of the stack ${stack} in model time`;
  const drawn = ganttStages(stack, stages);
  writeFileSync(`${base}.svg`, renderGantt({ title, stages: drawn, shortest: shortestDrawn }));
  writeFileSync(`${base}.json`, `${JSON.stringify({ title, unit: "s", stages: drawn }, undefined, 1)}\n`);
  return [`${base}.svg`, `${base}.json`];
}

/**
 * Measures a stack once: the model's time does not vary with the machine.
 * @param stack `dev` or `prod`
 */
export async function measureInfrastructure(
  stack: string,
  progress: (line: string) => void,
  signal: AbortSignal,
): Promise<InfrastructureResult> {
  const { stages, destroyStages, ...measured } = await runInfrastructure(stack, progress, signal);
  const upChain = longestChain(upStages(), lastOfProgram);
  const readyChain = longestChain(upStages());
  const sequential = longestChain(sequentialStages());
  return {
    stack,
    measured,
    unavoidable: { upMs: upChain.takes, readyMs: readyChain.takes, chain: readyChain.stages },
    sequentialMs: sequential.takes,
    ratios: {
      up: measured.upMs / upChain.takes,
      ready: measured.readyMs / readyChain.takes,
      sequential: sequential.takes / measured.readyMs,
    },
    files: [...writeTimeline(stack, "up", stages), ...writeTimeline(stack, "destroy", destroyStages)],
  };
}
