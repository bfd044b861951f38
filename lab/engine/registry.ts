/** The names under which a program registers its resources in one run. */
import { EngineError } from "./errors.ts";
import type { Goal } from "./goal.ts";
import { renameFormer } from "./rename.ts";
import type { StackState } from "./state.ts";
import { aliasUrns, type Identity, makeUrn } from "./urn.ts";

export class Registry {
  readonly #identity: Identity;
  readonly #state: StackState;
  /** With the former names of each. */
  readonly #registered = new Map<string, readonly string[]>();

  /** @param state in which a resource with a former name gets its new one */
  constructor(identity: Identity, state: StackState) {
    this.#identity = identity;
    this.#state = state;
  }

  /** The URN of a goal. */
  urnOf(goal: Goal): string {
    return makeUrn(this.#identity, goal.parent, goal.type, goal.name);
  }

  /** @throws EngineError when another resource of this run has the same type and name */
  enter(goal: Goal): void {
    const urn = this.urnOf(goal);
    if (this.#registered.has(urn)) {
      throw new EngineError("duplicate-urn", "two resources have this type and name; rename one.");
    }
    const parentAliases = goal.parent === undefined ? [] : (this.#registered.get(goal.parent) ?? []);
    const former = aliasUrns(this.#identity, goal, goal.aliases, parentAliases);
    this.#registered.set(urn, former);
    renameFormer(this.#state, urn, goal, former, (name) => this.#registered.has(name));
  }

  /** Whether this run's program asked for it. */
  has(urn: string): boolean {
    return this.#registered.has(urn);
  }
}
