/**
 * Answers a program that runs for a preview: decides for each resource as `up` would and writes it down, but asks
 * no provider to do anything. The state that it works on is a copy in memory. What only an operation can tell is
 * unknown, as in Pulumi.
 */
import { decide, demandUnprotected, mustGoWith } from "./decision.ts";
import { foundations, recorded } from "./deletion.ts";
import { applyIgnoreChanges } from "./differences.ts";
import { EngineError } from "./errors.ts";
import { declared, type Goal } from "./goal.ts";
import { checkInputs, guardOutputs } from "./inputs.ts";
import { masked, plainMap, type PropertyMap, unknownValue } from "./properties.ts";
import { type PropertyChange, propertyChanges } from "./property-changes.ts";
import type { ResourceDefinition } from "./provider.ts";
import { NotAcceptingError, type Registered, type Registrar } from "./registrar.ts";
import { Registry } from "./registry.ts";
import { about, type Run } from "./run.ts";
import type { Declared, ResourceRecord } from "./state.ts";
import { rootStackType } from "./urn.ts";
import { UnderWay } from "./under-way.ts";

/** What `up` would do with one resource of a provider. */
export interface PlannedOperation {
  urn: string;
  type: string;
  name: string;
  operation: "create" | "update" | "replace" | "delete" | "same";
  /** Inputs that differ; empty for anything but `update` and `replace`. */
  changes: PropertyChange[];
  /** Top-level inputs that cannot be changed in place. */
  forcing: string[];
  /** Why, where no input says it. */
  reason?: string;
}

/** One resource as the program asked for it, component or not. */
export interface RegisteredResource {
  urn: string;
  type: string;
  name: string;
  custom: boolean;
  parent?: string;
  /** URN of the provider that the program named. */
  provider?: string;
  /** As the program gave them; secrets as `[secret]`, what only an operation tells as `[unknown]`. */
  inputs: PropertyMap;
  dependencies: string[];
  /** By input, where it came from. */
  propertyDependencies: Record<string, string[]>;
  deletedWith?: string;
  ignoreChanges: string[];
  replaceOnChanges: string[];
  additionalSecretOutputs: string[];
  /** `protect`, `retainOnDelete`, `deleteBeforeReplace`, `aliases` and `customTimeouts`, where they are given. */
  options: PropertyMap;
}

export class Plan implements Registrar {
  readonly #run: Run;
  readonly #registry: Registry;
  readonly #operations: PlannedOperation[] = [];
  readonly #resources: RegisteredResource[] = [];
  /** What would be deleted before its replacement, and is not registered again yet. */
  readonly #deletedFirst = new Map<string, ResourceRecord>();
  readonly #underWay = new UnderWay();
  /** The stack's outputs, secrets wrapped. */
  outputs: PropertyMap = {};

  /** @param run whose state is never saved */
  constructor(run: Run) {
    this.#run = run;
    this.#registry = new Registry(run.parts.identity, run.parts.store.state);
  }

  /** In the order in which the program asked; deletions at the end. */
  get operations(): readonly PlannedOperation[] {
    return this.#operations;
  }

  /** All that the program asked for, components and the stack included. */
  get resources(): readonly RegisteredResource[] {
    return this.#resources;
  }

  settled(): Promise<void> {
    return this.#underWay.settled();
  }

  #find(urn: string): ResourceRecord | undefined {
    return this.#run.parts.store.state.resources.find(
      (record) => record.urn === urn && record.pendingDelete !== true,
    );
  }

  #fail(urn: string, goal: Goal, error: unknown): never {
    if (error instanceof NotAcceptingError) throw error;
    const failure = this.#run.fail("check", error, urn);
    this.#run.emit({
      kind: "resource-failed",
      ...about(declared(urn, goal, {}), "create"),
      milliseconds: 0,
      message: failure.message,
      ...(failure.code === undefined ? {} : { code: failure.code }),
    });
    throw new NotAcceptingError();
  }

  async register(goal: Goal): Promise<Registered> {
    if (this.#run.stopping) throw new NotAcceptingError();
    const urn = this.#registry.urnOf(goal);
    try {
      this.#registry.enter(goal);
      for (const value of Object.values(goal.inputs)) this.#run.parts.mask.addFrom(value);
      this.#resources.push(this.#asked(urn, goal));
      if (goal.custom) return await this.#underWay.track(this.#custom(urn, goal));
    } catch (error) {
      this.#fail(urn, goal, error);
    }
    const record: ResourceRecord = { ...declared(urn, goal, goal.inputs), id: "", outputs: {} };
    this.#put(record, this.#find(urn));
    return { urn, id: "", outputs: goal.inputs };
  }

  #asked(urn: string, goal: Goal): RegisteredResource {
    const { type, name, custom, parent, provider, deletedWith, customTimeouts, aliases } = goal;
    return {
      urn,
      type,
      name,
      custom,
      ...(parent === undefined ? {} : { parent }),
      ...(provider === undefined ? {} : { provider: provider.slice(0, provider.lastIndexOf("::")) }),
      inputs: this.#run.parts.mask.applyToMap(masked(goal.inputs) as PropertyMap),
      dependencies: goal.dependencies,
      propertyDependencies: goal.propertyDependencies,
      ...(deletedWith === undefined ? {} : { deletedWith }),
      ignoreChanges: goal.ignoreChanges,
      replaceOnChanges: goal.replaceOnChanges,
      additionalSecretOutputs: goal.additionalSecretOutputs,
      options: {
        ...(goal.protect ? { protect: true } : {}),
        ...(goal.retainOnDelete ? { retainOnDelete: true } : {}),
        ...(goal.deleteBeforeReplace === undefined ? {} : { deleteBeforeReplace: goal.deleteBeforeReplace }),
        ...(customTimeouts === undefined ? {} : { customTimeouts: { ...customTimeouts } }),
        ...(aliases.length === 0 ? {} : { aliases: aliases.map((alias) => ({ ...alias })) }),
      },
    };
  }

  async #custom(urn: string, goal: Goal): Promise<Registered> {
    const { providers, store } = this.#run.parts;
    const definition = providers.definition(goal.type, goal.provider);
    const old = this.#find(urn);
    const gone = this.#deletedFirst.get(urn);
    const former = old ?? gone;
    const wanted =
      former === undefined ? goal.inputs : applyIgnoreChanges(goal.inputs, former.inputs, goal.ignoreChanges);
    const inputs = checkInputs(definition, wanted, former?.inputs, goal.name, "allowed");
    const wish = declared(urn, goal, inputs);
    if (old === undefined) {
      const interrupted = store.state.pendingCreations.some((pending) => pending.urn === urn);
      const reason =
        gone !== undefined
          ? "what it stands on is replaced"
          : interrupted
            ? "an earlier run began to create it: if it is there, it is taken over"
            : undefined;
      this.#note(wish, gone === undefined ? "create" : "replace", gone?.inputs, [], reason);
      return this.#asNew(wish, goal, definition);
    }
    const change = decide(definition, old, inputs, goal);
    if (change.kind === "replace") {
      const next = { ...wish, inputs: change.inputs };
      demandUnprotected([old]);
      if (change.deleteFirst) {
        const doomed = mustGoWith(old, store.state, this.#registry, providers);
        demandUnprotected(doomed);
        store.state.resources = store.state.resources.filter((record) => !doomed.includes(record));
        for (const record of doomed) if (record !== old) this.#deletedFirst.set(record.urn, record);
      } else old.pendingDelete = true;
      this.#note(next, "replace", old.inputs, change.forcing, change.reason);
      return this.#asNew(next, goal, definition);
    }
    const stale =
      change.kind === "same" &&
      (await definition.isStale?.(recorded(old), this.#run.context(this.#run.ending, urn))) === true;
    const changes = change.kind === "update" || stale;
    this.#note(
      wish,
      changes ? "update" : "same",
      old.inputs,
      [],
      stale ? "what it made is not there any more" : undefined,
    );
    const outputs = changes ? this.#afterUpdate(definition, old, inputs) : plainMap(old.outputs);
    const record: ResourceRecord = {
      ...wish,
      id: old.id,
      outputs: guardOutputs(definition, outputs, inputs, goal.additionalSecretOutputs),
    };
    this.#put(record, old);
    return { urn, id: record.id, outputs: record.outputs };
  }

  /** Outputs stay as they are but for those that the inputs give, and those that only the update will tell. */
  #afterUpdate(definition: ResourceDefinition, old: ResourceRecord, inputs: PropertyMap): PropertyMap {
    const outputs: PropertyMap = { ...plainMap(old.outputs) };
    for (const key of Object.keys(old.inputs)) delete outputs[key];
    Object.assign(outputs, plainMap(inputs));
    for (const key of definition.unknownBeforeUpdate ?? []) outputs[key] = unknownValue;
    return outputs;
  }

  /** Of something that is not there yet, only the inputs are known. */
  #asNew(wish: Declared, goal: Goal, definition: ResourceDefinition): Registered {
    const outputs = guardOutputs(
      definition,
      plainMap(wish.inputs),
      wish.inputs,
      goal.additionalSecretOutputs,
    );
    this.#put({ ...wish, id: unknownValue, outputs }, undefined);
    return { urn: wish.urn, id: "", outputs };
  }

  #put(record: ResourceRecord, old: ResourceRecord | undefined): void {
    const { resources } = this.#run.parts.store.state;
    const index = old === undefined ? -1 : resources.indexOf(old);
    if (index === -1) resources.push(record);
    else resources[index] = record;
  }

  #note(
    resource: Declared,
    operation: PlannedOperation["operation"],
    before: PropertyMap | undefined,
    forcing: readonly string[],
    reason?: string,
  ): void {
    const compared = before !== undefined && (operation === "update" || operation === "replace");
    this.#operations.push({
      urn: resource.urn,
      type: resource.type,
      name: resource.name,
      operation,
      changes: compared ? this.#masked(propertyChanges(before, resource.inputs)) : [],
      forcing: [...forcing],
      ...(reason === undefined ? {} : { reason: this.#run.parts.mask.apply(reason) }),
    });
  }

  /** A secret may also stand in a text that is not marked as one. */
  #masked(changes: readonly PropertyChange[]): PropertyChange[] {
    const { mask } = this.#run.parts;
    return changes.map(({ path, ...values }) => ({ path, ...mask.applyToMap(values) }));
  }

  async registerOutputs(urn: string, outputs: PropertyMap): Promise<void> {
    const record = this.#find(urn);
    if (record === undefined) throw new EngineError("outputs", `outputs for ${urn}, which is not registered`);
    for (const value of Object.values(outputs)) this.#run.parts.mask.addFrom(value);
    record.outputs = outputs;
    if (record.type === rootStackType) this.outputs = outputs;
  }

  /** Functions only read, so they are called; with a provider that is not wholly known they answer nothing. */
  async invoke(token: string, args: PropertyMap, provider: string | undefined): Promise<PropertyMap> {
    if (this.#run.stopping) throw new NotAcceptingError();
    const { providers } = this.#run.parts;
    if (!providers.isKnown(provider)) return {};
    const found = providers.forFunction(token, provider);
    if (found.invoke === undefined)
      throw new EngineError("unsupported", `${token}: this provider has no functions`);
    return this.#underWay.track(found.invoke(token, plainMap(args), this.#run.context(this.#run.ending)));
  }

  /** Writes down what `up` would delete at its end: what the program did not ask for, and what was replaced before. */
  removeRest(): void {
    const { state } = this.#run.parts.store;
    const unwanted = state.resources.filter((record) => !this.#registry.has(record.urn) && record.custom);
    const begun = state.pendingCreations.filter((pending) => !this.#registry.has(pending.urn));
    const protectedOne = unwanted.find((record) => record.protect === true);
    if (protectedOne !== undefined) {
      const message = `"${protectedOne.name}" is protected: remove "protect" from the program and run up, then delete it.`;
      this.#run.fail("delete", new EngineError("protected", message), protectedOne.urn);
      return;
    }
    const going = new Set(unwanted.map((record) => record.urn));
    // Newest first: nothing stands on what is created later.
    for (const record of inDeletionOrder(unwanted)) {
      const reason =
        record.deletedWith !== undefined && going.has(record.deletedWith)
          ? `goes with ${record.deletedWith.split("::").at(-1)}`
          : record.retainOnDelete === true
            ? "is only forgotten (retainOnDelete)"
            : undefined;
      this.#note(record, "delete", undefined, [], reason);
    }
    for (const pending of begun) {
      this.#note(
        pending,
        "delete",
        undefined,
        [],
        "an earlier run began to create it: if it is there, it goes",
      );
    }
  }
}

/** Each after all that stand on it. */
function inDeletionOrder(records: readonly ResourceRecord[]): ResourceRecord[] {
  const left = new Set(records);
  const ordered: ResourceRecord[] = [];
  while (left.size > 0) {
    const bases = new Set([...left].flatMap((record) => [...foundations(record)]));
    const free = [...left].filter((record) => !bases.has(record.urn));
    // A circle cannot come from a program; should there be one, its members go as they come.
    for (const record of free.length > 0 ? free : [...left]) {
      ordered.push(record);
      left.delete(record);
    }
  }
  return ordered;
}
