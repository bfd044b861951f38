import type { ProcessRegistry } from "../processes.ts";
import type { EngineClock } from "./clock.ts";
import type { Counts, EngineEvent } from "./events.ts";
import type { PlannedOperation, RegisteredResource } from "./planning.ts";
import type { PropertyMap } from "./properties.ts";
import type { KubernetesLife } from "./providers/kubernetes-life.ts";
import type { StateObjectSettings } from "./state-object.ts";

/** What `up` and `destroy` have in common. */
export interface EngineOptions {
  /** Folder with `Pulumi.yaml`. */
  projectDirectory: string;
  /** Name of the stack, for example `dev`. */
  stack: string;
  /**
   * The stack's configuration. Keys without a colon belong to the project (`adminCidrs` is `trading:adminCidrs`).
   * Objects and arrays are JSON text, as in Pulumi. `<package>:<key>` configures a default provider.
   */
  config: Record<string, string>;
  /** Keys of `config` whose values are secret. */
  secretKeys: readonly string[];
  /** Encrypted state: a file, made with its folder when absent, or `s3://bucket/key`. */
  stateFile: string;
  /** How the bucket is reached. Needed for `s3://…` only. */
  stateBucket?: StateObjectSettings;
  /** Opens the state. Not empty. */
  passphrase: string;
  /** Called for each event, in order. Must not throw. */
  onEvent?: (event: EngineEvent) => void;
  /** Stops the run: nothing new begins, operations under way are awaited, the program is ended. */
  signal?: AbortSignal;
  /** Added to this process's environment (without KUBECONFIG, PULUMI_* and LAB_*) for the program and for commands. */
  environment?: Record<string, string>;
  /** Most operations under way at once. Default 16; at least 1. */
  parallel?: number;
  /** After a stop, how long operations under way may go on before they are ended too. Default 20,000 ms. */
  abortGraceMilliseconds?: number;
  /** Where child processes are recorded. Default: a registry of its own beside the state file, or below `.lab`. */
  processes?: ProcessRegistry;
  /** The time in which providers wait. `customTimeouts` are real time always. Default: real time. */
  clock?: EngineClock;
  /** Plays the cluster that rendered objects would go to. Default: nobody; they take no time. */
  kubernetes?: KubernetesLife;
}

/** `up` as it ended well. */
export interface UpResult extends Counts {
  /** The stack's outputs; secrets stand as `[secret]`. `readOutputs` gives them in clear. */
  outputs: PropertyMap;
  /** Whole run. */
  milliseconds: number;
  /** From the start until the program registered its first resource; undefined when it has none. */
  firstRegistrationMilliseconds: number | undefined;
}

/** What `up` would do. */
export interface PreviewResult extends Counts {
  /** Each resource of a provider, in the order in which the program asks for it; deletions at the end. */
  operations: PlannedOperation[];
  /** Everything that the program asks for, components included, in no order: the program's graph. */
  resources: RegisteredResource[];
  /** The stack's outputs as far as they are known: else `[unknown]`, and `[secret]` for secrets. */
  outputs: PropertyMap;
  milliseconds: number;
}

/** `destroy` as it ended well. */
export interface DestroyResult extends Counts {
  milliseconds: number;
}
