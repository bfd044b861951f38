/** What a provider is to the engine: a table of resource types and functions. */
import type { ProcessRegistry } from "../processes.ts";
import type { EngineClock } from "./clock.ts";
import { CheckError } from "./errors.ts";
import type { PropertyMap, PropertyValue } from "./properties.ts";
import type { KubernetesLife } from "./providers/kubernetes-life.ts";
import { z } from "zod";

/** What an operation may use of its surroundings. Property values given to providers are plain: no wrapped secrets. */
export interface OperationContext {
  /** Aborted when the operation's time is over or the run must end now. */
  readonly signal: AbortSignal;
  /** Environment of the caller; commands get it below their own. */
  readonly environment: Readonly<Record<string, string>>;
  /** Relative paths start here: the folder of the program's main file, as with the Pulumi CLI. */
  readonly workingDirectory: string;
  /** Starts child processes so that nothing is left behind. */
  readonly processes: ProcessRegistry;
  /** What is waited by. */
  readonly clock: EngineClock;
  /** Tells the user something about this resource. */
  log(severity: "debug" | "info" | "warning" | "error", message: string): void;
}

/** A resource as a provider made or found it. */
export interface Created {
  id: string;
  outputs: PropertyMap;
}

/** A resource as the state knows it, plain. */
export interface Recorded {
  id: string;
  inputs: PropertyMap;
  outputs: PropertyMap;
}

/** Result of comparing recorded and new inputs. */
export interface Difference {
  /** Top-level inputs that differ. Empty: nothing to do. */
  changed: readonly string[];
  /** Those of `changed` that cannot be changed in place. */
  replace: readonly string[];
}

/** One type of resource. All functions take and give plain values (no wrapped secrets). */
export interface ResourceDefinition {
  /** Strict schema: an unknown property is an error, not a silent typo. */
  readonly inputs: z.ZodType;
  /** Inputs that cannot be changed in place; `"all"` when there is no update. */
  readonly replaceOn: readonly string[] | "all";
  /** Inputs whose lists have no order for the real provider: another order is no change. */
  readonly sets?: readonly string[];
  /** The property by which the thing is unique in its project; generated when the program does not give it. */
  readonly nameProperty?: string;
  /** Outputs that are secret whatever the inputs are. */
  readonly secretOutputs?: readonly string[];
  /** Whether a secret in any input makes every other output secret (commands: they may print it). */
  readonly secretsSpread?: boolean;
  /** Nothing exists outside the state, so an interrupted creation leaves nothing to look for. */
  readonly withoutSideEffects?: boolean;
  /** Fills defaults in; `old` are the recorded inputs. Runs after the schema. */
  complete?(inputs: PropertyMap, old: PropertyMap | undefined, name: string): PropertyMap;
  /** Checks that need more than the schema. */
  problems?(inputs: PropertyMap): { property: string; reason: string }[];
  /** Whether something besides the inputs makes an update needed (for example, a rendered file is gone). */
  isStale?(recorded: Recorded, context: OperationContext): Promise<boolean>;
  /** Whether the recorded thing is not there any more; absent where nobody can tell. @throws ProviderError */
  isGone?(recorded: Recorded, context: OperationContext): Promise<boolean>;
  /** Whether two inputs mean one and the same thing, where no `nameProperty` tells: a replacement then deletes first. */
  sameThing?(old: PropertyMap, fresh: PropertyMap): boolean;
  /** Inputs by which it goes with the resource that they came from, when that is deleted before its replacement. */
  readonly boundBy?: readonly string[];
  /** Outputs that nobody knows before an update with these inputs was done; for previews. */
  readonly unknownBeforeUpdate?: readonly string[];
  /** Top-level inputs that must be replaced although only a part of them may not change in place. */
  replaces?(old: PropertyMap, fresh: PropertyMap): readonly string[];
  create(inputs: PropertyMap, context: OperationContext): Promise<Created>;
  update?(recorded: Recorded, inputs: PropertyMap, context: OperationContext): Promise<PropertyMap>;
  /** Must succeed when the thing is gone already. */
  delete(recorded: Recorded, context: OperationContext): Promise<void>;
  /**
   * Looks for what an interrupted creation may have made, and finishes it.
   * @returns undefined when nothing is there
   * @throws ProviderError when something stands there that is not ours
   */
  find?(inputs: PropertyMap, context: OperationContext): Promise<Created | undefined>;
}

/** A configured provider. */
export interface Provider {
  /** The definition of a type token such as `hcloud:index/server:Server`, undefined when there is none. */
  resource(type: string): ResourceDefinition | undefined;
  /** Types and functions that it has, for error messages. */
  readonly known: readonly string[];
  invoke?(token: string, args: PropertyMap, context: OperationContext): Promise<PropertyMap>;
}

/** What providers share. */
export interface ProviderSurroundings {
  /** Default: real time. */
  readonly clock?: EngineClock;
  readonly kubernetes?: KubernetesLife;
}

/** Makes a provider from its configuration (the provider resource's inputs or `<package>:<key>` config). */
export interface ProviderPackage {
  readonly name: string;
  /** Strict schema of the configuration. Values are strings, as on Pulumi's wire. */
  readonly configuration: z.ZodType;
  /** Configuration whose change makes it another provider, and so replaces all that it made. Default: none. */
  replaces?(old: PropertyMap, fresh: PropertyMap): readonly string[];
  configure(configuration: PropertyMap, surroundings?: ProviderSurroundings): Provider;
}

/** The problems of a zod parse, in the form of a CheckError. */
export function problemsOf(error: z.ZodError): { property: string; reason: string }[] {
  return error.issues.map((issue) => ({
    property: issue.path
      .map((step, index) =>
        typeof step === "number" ? `[${step}]` : index === 0 ? String(step) : `.${String(step)}`,
      )
      .join(""),
    reason: issue.message,
  }));
}

/**
 * Applies a strict schema to plain values.
 * @throws CheckError with every mistake
 */
export function parseInputs(schema: z.ZodType, values: PropertyMap): PropertyMap {
  const parsed = schema.safeParse(values);
  if (!parsed.success) throw new CheckError(problemsOf(parsed.error));
  return JSON.parse(JSON.stringify(parsed.data)) as PropertyMap;
}

/** A number, or text that is one: provider ids travel as text and Pulumi's real providers convert them too. */
export const numeric = z.union([
  z.number(),
  z
    .string()
    .regex(/^-?\d+(\.\d+)?$/, "expected a number")
    .transform(Number),
]);
/** Key-value pairs of text. */
export const textMap = z.record(z.string(), z.string());
/** Any JSON. */
export const anyValue: z.ZodType<PropertyValue> = z.json();
