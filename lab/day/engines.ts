/** The two ways to run the program: hosted by the lab's own engine, or by the Pulumi CLI. */
import type { KubernetesLife } from "../engine/index.ts";
import type { DayOptions } from "./options.ts";
import { openLabEngine } from "./lab-engine.ts";
import { openPulumiCli } from "./pulumi-cli.ts";
import type { Progress } from "./progress.ts";
import type { TimelineEntry } from "./report.ts";
import type { StackConfiguration } from "./stack-config.ts";
import type { ProcessRegistry } from "../processes.ts";

/** What an engine run needs. */
export interface EngineArguments {
  projectDirectory: string;
  stack: string;
  configuration: StackConfiguration;
  /** Variables for the program and for the export gate. */
  environment: Record<string, string>;
  registry: ProcessRegistry;
  progress: Progress;
  /** What becomes of the Kubernetes objects, with the lab's engine. Default: they are rendered, and nothing else. */
  kubernetes?: KubernetesLife;
}

/** The outputs of the stack that the day uses. */
export interface StackOutputs {
  clusterId: string;
  businessDate: string;
  archivePrefix: string;
}

/** A program that can be brought up and destroyed. */
export interface DayEngine {
  /** Brings the stack up. @returns its outputs and how many resources were created. */
  up(signal: AbortSignal): Promise<{ outputs: StackOutputs; created: number }>;
  /** Destroys what the state knows, the export gate first. @returns how many resources were deleted. */
  destroy(): Promise<{ deleted: number }>;
  /** Operations so far, on the clock of the day. */
  readonly timeline: readonly TimelineEntry[];
  /** Files and folders that hold state; searched for secrets by the judge. */
  readonly stateFiles: readonly string[];
  /** Whether the state names any resource. */
  hasResources(): Promise<boolean>;
}

/**
 * Opens the engine that the options name, on an empty state.
 * @throws LabError (exit code 2) when the Pulumi CLI is asked for and is not on PATH.
 */
export function openEngine(engine: DayOptions["engine"], args: EngineArguments): Promise<DayEngine> {
  return engine === "lab" ? openLabEngine(args) : openPulumiCli(args);
}

/**
 * Picks the outputs that the day uses.
 * @throws Error that names every missing one.
 */
export function readStackOutputs(outputs: Readonly<Record<string, unknown>>): StackOutputs {
  const { clusterId, businessDate, archivePrefix } = outputs;
  const missing = Object.entries({ clusterId, businessDate, archivePrefix })
    .filter(([, value]) => typeof value !== "string")
    .map(([name]) => name);
  if (missing.length > 0) throw new Error(`the stack has no output ${missing.join(", ")}`);
  return { clusterId, businessDate, archivePrefix } as StackOutputs;
}
