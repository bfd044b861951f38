/** Which engine runs the program. */
import path from "node:path";
import { pathToFileURL } from "node:url";
import { isPulumiOnPath, openPulumi } from "./pulumi.ts";
import { openPulumiConfiguration } from "./pulumi-configuration.ts";
import type { StackConfigurationModule, StackConfigurationStore } from "./stack-configuration.ts";
import {
  type StackEngine,
  type StackEngineArguments,
  type StackEngineModule,
  StackUnavailableError,
} from "./stack-engine.ts";

/**
 * Opens the engine: the module that TRADING_ENGINE names (a path from the project's folder), or else the Pulumi CLI on
 * PATH. What is said in so many words comes before what happens to be installed.
 * @throws StackUnavailableError with what to do.
 */
export async function openStackEngine(args: StackEngineArguments): Promise<StackEngine> {
  const named = args.environment["TRADING_ENGINE"] ?? "";
  if (named !== "") return openNamed(named, args);
  const engine = await openPulumi(args);
  if (engine !== undefined) return engine;
  throw nothingFound();
}

/**
 * Opens the configuration of a stack, which need not exist yet: that of the engine which {@link openStackEngine} opens.
 * @throws StackUnavailableError with what to do.
 */
export async function openStackConfiguration(args: StackEngineArguments): Promise<StackConfigurationStore> {
  const named = args.environment["TRADING_ENGINE"] ?? "";
  if (named !== "") {
    const { file, loaded } = await load<StackConfigurationModule>(named, args);
    if (typeof loaded.openStackConfiguration === "function") return loaded.openStackConfiguration(args);
    throw new StackUnavailableError(
      `TRADING_ENGINE: ${file} exports no function openStackConfiguration, so the stack's configuration has to be set up otherwise.`,
    );
  }
  if (await isPulumiOnPath(args.environment["PATH"] ?? "")) return openPulumiConfiguration(args);
  throw nothingFound();
}

function nothingFound(): StackUnavailableError {
  return new StackUnavailableError(
    "Nothing that could run the stack's program was found. Install the Pulumi CLI, 3.248 or newer, and put it on PATH " +
      "(https://www.pulumi.com/docs/install/), or name a module with another engine in TRADING_ENGINE.",
  );
}

async function openNamed(named: string, args: StackEngineArguments): Promise<StackEngine> {
  const { file, loaded } = await load<StackEngineModule>(named, args);
  if (typeof loaded.openStackEngine !== "function") {
    throw new StackUnavailableError(
      `TRADING_ENGINE: ${file} exports no function openStackEngine (ops/engine/stack-engine.ts says what it must do).`,
    );
  }
  return loaded.openStackEngine(args);
}

async function load<Module>(
  named: string,
  args: StackEngineArguments,
): Promise<{ file: string; loaded: Partial<Module> }> {
  const file = path.resolve(args.projectDirectory, named);
  try {
    return { file, loaded: (await import(pathToFileURL(file).href)) as Partial<Module> };
  } catch (error) {
    throw new StackUnavailableError(
      `TRADING_ENGINE: ${file} cannot be loaded: ${(error as Error).message}. Name a module that exports openStackEngine, ` +
        "or unset the variable to use the Pulumi CLI.",
      [],
      { cause: error },
    );
  }
}
