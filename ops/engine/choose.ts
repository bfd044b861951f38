/** Which engine runs the program. */
import path from "node:path";
import { pathToFileURL } from "node:url";
import { openPulumi } from "./pulumi.ts";
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
  throw new StackUnavailableError(
    "Nothing that could run the stack's program was found. Install the Pulumi CLI, 3.248 or newer, and put it on PATH " +
      "(https://www.pulumi.com/docs/install/), or name a module with another engine in TRADING_ENGINE.",
  );
}

async function openNamed(named: string, args: StackEngineArguments): Promise<StackEngine> {
  const file = path.resolve(args.projectDirectory, named);
  let loaded: Partial<StackEngineModule>;
  try {
    loaded = (await import(pathToFileURL(file).href)) as Partial<StackEngineModule>;
  } catch (error) {
    throw new StackUnavailableError(
      `TRADING_ENGINE: ${file} cannot be loaded: ${(error as Error).message}. Name a module that exports openStackEngine, ` +
        "or unset the variable to use the Pulumi CLI.",
      [],
      { cause: error },
    );
  }
  if (typeof loaded.openStackEngine !== "function") {
    throw new StackUnavailableError(
      `TRADING_ENGINE: ${file} exports no function openStackEngine (ops/engine/stack-engine.ts says what it must do).`,
    );
  }
  return loaded.openStackEngine(args);
}
