/** What answers the program's calls: a deployment, or a plan. */
import { EngineError } from "./errors.ts";
import type { Goal } from "./goal.ts";
import type { PropertyMap } from "./properties.ts";

/** What the program gets back for a resource. */
export interface Registered {
  urn: string;
  /** Empty in a preview for what does not exist yet, and always for components. */
  id: string;
  outputs: PropertyMap;
}

/** The run may begin nothing new: it was stopped, or something failed. The program is told to end. */
export class NotAcceptingError extends EngineError {
  constructor() {
    super("stopping", "the run is stopping; nothing new is begun");
  }
}

export interface Registrar {
  /** @throws NotAcceptingError when the run ends; the failure itself is recorded in the run */
  register(goal: Goal): Promise<Registered>;
  /** Outputs of a component or of the stack. */
  registerOutputs(urn: string, outputs: PropertyMap): Promise<void>;
  /** Calls a provider's function. A failure is the program's to handle. */
  invoke(token: string, args: PropertyMap, provider: string | undefined): Promise<PropertyMap>;
  /** Resolves when nothing is under way. */
  settled(): Promise<void>;
}
