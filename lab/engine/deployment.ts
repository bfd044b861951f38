/**
 * Makes the stack what the program asks for, resource by resource. The program's RegisterResource calls wait until
 * their resource is done, so order and parallelism come from the program itself; this decides, for each, between
 * create, update, replace and same, and keeps the state true at every moment.
 */
import { deleteResources, recorded } from "./deletion.ts";
import { applyIgnoreChanges, difference } from "./differences.ts";
import { EngineError, IncompleteCreationError, ProviderError } from "./errors.ts";
import { declared, type Goal } from "./goal.ts";
import { resolvePending } from "./pending.ts";
import { checkInputs, guardOutputs } from "./inputs.ts";
import { masked, plainMap, type PropertyMap } from "./properties.ts";
import type { Created, OperationContext, ResourceDefinition } from "./provider.ts";
import { renameFormer } from "./rename.ts";
import { about, type Run } from "./run.ts";
import type { Declared, ResourceRecord } from "./state.ts";
import { aliasUrns, makeUrn, rootStackType } from "./urn.ts";

/** What the program gets back for a resource. */
export interface Registered {
  urn: string;
  id: string;
  outputs: PropertyMap;
}

/** The run may begin nothing new: it was stopped, or something failed. The program is told to end. */
export class NotAcceptingError extends EngineError {
  constructor() {
    super("stopping", "the run is stopping; nothing new is begun");
  }
}

export class Deployment {
  readonly #run: Run;
  /** URNs registered in this run, with their former names. */
  readonly #registered = new Map<string, readonly string[]>();
  /** Deleted before their replacement in this run: their creation counts as a replacement. */
  readonly #deletedForReplacement = new Set<string>();
  /** Operations and invokes under way. */
  readonly #pending = new Set<Promise<unknown>>();
  /** When the first resource other than the stack itself was registered, in milliseconds of `performance.now()`. */
  firstRegistration: number | undefined;

  constructor(run: Run) {
    this.#run = run;
  }

  /** Resolves when nothing is under way. */
  async settled(): Promise<void> {
    while (this.#pending.size > 0) await Promise.allSettled([...this.#pending]);
  }

  #track<T>(work: Promise<T>): Promise<T> {
    this.#pending.add(work);
    const done = (): void => void this.#pending.delete(work);
    work.then(done, done);
    return work;
  }

  /** @throws NotAcceptingError when the run ends; the failure itself is recorded in the run */
  async register(goal: Goal): Promise<Registered> {
    if (this.#run.stopping) throw new NotAcceptingError();
    return this.#track(this.#register(goal));
  }

  async #register(goal: Goal): Promise<Registered> {
    const { identity } = this.#run.parts;
    const urn = makeUrn(identity, goal.parent, goal.type, goal.name);
    if (goal.type !== rootStackType) this.firstRegistration ??= performance.now();
    if (this.#registered.has(urn)) {
      this.#run.fail(
        "check",
        new EngineError("duplicate-urn", "two resources have this type and name; rename one."),
        urn,
      );
      throw new NotAcceptingError();
    }
    const parentAliases = goal.parent === undefined ? [] : (this.#registered.get(goal.parent) ?? []);
    const former = aliasUrns(identity, goal, goal.aliases, parentAliases);
    this.#registered.set(urn, former);
    renameFormer(this.#run.parts.store.state, urn, goal, former, (name) => this.#registered.has(name));
    for (const value of Object.values(goal.inputs)) this.#run.parts.mask.addFrom(value);
    return goal.custom ? this.#custom(urn, goal) : this.#component(urn, goal);
  }

  #find(urn: string): ResourceRecord | undefined {
    return this.#run.parts.store.state.resources.find(
      (record) => record.urn === urn && record.pendingDelete !== true,
    );
  }

  async #component(urn: string, goal: Goal): Promise<Registered> {
    const old = this.#find(urn);
    const record: ResourceRecord = {
      ...declared(urn, goal, goal.inputs),
      id: "",
      outputs: old?.outputs ?? {},
    };
    this.#put(record, old);
    if (old === undefined) this.#run.emit({ kind: "resource-started", ...about(record, "create") });
    this.#run.finished(record, old === undefined ? "create" : "same", 0);
    return { urn, id: "", outputs: goal.inputs };
  }

  /** Puts a record in the place of an older one, or at the end. */
  #put(record: ResourceRecord, old: ResourceRecord | undefined): void {
    const { state } = this.#run.parts.store;
    const index = old === undefined ? -1 : state.resources.indexOf(old);
    if (index === -1) state.resources.push(record);
    else state.resources[index] = record;
  }

  async #custom(urn: string, goal: Goal): Promise<Registered> {
    const run = this.#run;
    let definition: ResourceDefinition;
    let inputs: PropertyMap;
    let old: ResourceRecord | undefined;
    try {
      definition = run.parts.providers.definition(goal.type, goal.provider);
      old = this.#find(urn) ?? (await this.#takeUp(urn, goal, definition));
      const wanted =
        old === undefined ? goal.inputs : applyIgnoreChanges(goal.inputs, old.inputs, goal.ignoreChanges);
      inputs = checkInputs(definition, wanted, old?.inputs, goal.name);
    } catch (error) {
      if (error instanceof NotAcceptingError) throw error;
      const failure = run.fail("check", error, urn);
      run.emit({
        kind: "resource-failed",
        ...about(declared(urn, goal, {}), "create"),
        milliseconds: 0,
        message: failure.message,
        ...(failure.code === undefined ? {} : { code: failure.code }),
      });
      throw new NotAcceptingError();
    }
    const wish = declared(urn, goal, inputs);
    const record = await this.#carryOut(wish, goal, definition, old);
    return { urn, id: record.id, outputs: record.outputs };
  }

  async #carryOut(
    wish: Declared,
    goal: Goal,
    definition: ResourceDefinition,
    old: ResourceRecord | undefined,
  ): Promise<ResourceRecord> {
    if (old === undefined) {
      return this.#create(wish, definition, this.#deletedForReplacement.has(wish.urn) ? "replace" : "create");
    }
    const found = difference(definition, old.inputs, wish.inputs, goal.replaceOnChanges);
    const elsewhere = (old.provider ?? "") !== (wish.provider ?? "");
    if (old.incomplete !== undefined || elsewhere || found.replace.length > 0) {
      return this.#replace(wish, goal, definition, old);
    }
    const began = performance.now();
    const stale =
      found.changed.length === 0 &&
      (await definition.isStale?.(recorded(old), this.#run.context(this.#run.ending, old.urn))) === true;
    if (found.changed.length === 0 && !stale) {
      const record: ResourceRecord = {
        ...wish,
        id: old.id,
        outputs: guardOutputs(definition, plainMap(old.outputs), wish.inputs, goal.additionalSecretOutputs),
      };
      this.#put(record, old);
      this.#remember(record);
      this.#run.finished(record, "same", performance.now() - began);
      return record;
    }
    return this.#operate(wish, "update", wish.customTimeouts?.update, async (context) => {
      const outputs = await definition.update?.(recorded(old), plainMap(wish.inputs), context);
      const record: ResourceRecord = {
        ...wish,
        id: old.id,
        outputs: guardOutputs(definition, outputs ?? {}, wish.inputs, goal.additionalSecretOutputs),
      };
      this.#put(record, old);
      await this.#saved(record);
      return record;
    });
  }

  #remember(record: ResourceRecord): void {
    for (const value of Object.values(record.outputs)) this.#run.parts.mask.addFrom(value);
  }

  async #saved(record: ResourceRecord): Promise<void> {
    this.#remember(record);
    await this.#run.parts.store.save();
  }

  /** As `Run.operate`, with any failure turned into the order to stop; the failure itself is recorded. */
  async #operate<T>(
    wish: Declared,
    operation: "create" | "update" | "replace" | "read",
    timeout: string | undefined,
    work: (context: OperationContext) => Promise<T>,
  ): Promise<T> {
    try {
      return await this.#run.operate(wish, operation, timeout, () => !this.#run.stopping, work);
    } catch {
      throw new NotAcceptingError();
    }
  }

  async #create(
    wish: Declared,
    definition: ResourceDefinition,
    operation: "create" | "replace",
    replaced?: ResourceRecord,
  ): Promise<ResourceRecord> {
    const { store } = this.#run.parts;
    const begun = async (): Promise<void> => {
      if (definition.withoutSideEffects === true) return;
      store.state.pendingCreations = [...this.#withoutPending(wish.urn), wish];
      await store.save();
    };
    const done = async (created: Created, incomplete?: string): Promise<ResourceRecord> => {
      const record: ResourceRecord = {
        ...wish,
        id: created.id,
        outputs: guardOutputs(definition, created.outputs, wish.inputs, wish.additionalSecretOutputs ?? []),
        ...(incomplete === undefined ? {} : { incomplete }),
      };
      if (replaced !== undefined) replaced.pendingDelete = true;
      store.state.resources.push(record);
      store.state.pendingCreations = this.#withoutPending(wish.urn);
      await this.#saved(record);
      return record;
    };
    return this.#operate(wish, operation, wish.customTimeouts?.create, async (context) => {
      await begun();
      try {
        return await done(await definition.create(plainMap(wish.inputs), context));
      } catch (error) {
        const lookedUpLater = context.signal.aborted && definition.find !== undefined;
        if (error instanceof IncompleteCreationError && !lookedUpLater) {
          await done({ id: error.id, outputs: error.outputs as PropertyMap }, error.message);
        } else if (
          definition.find === undefined ||
          (error instanceof ProviderError && !context.signal.aborted)
        ) {
          // The provider knows that nothing came of it (or could not look it up anyway).
          store.state.pendingCreations = this.#withoutPending(wish.urn);
          await store.save();
        }
        throw error;
      }
    });
  }

  #withoutPending(urn: string): Declared[] {
    return this.#run.parts.store.state.pendingCreations.filter((pending) => pending.urn !== urn);
  }

  async #replace(
    wish: Declared,
    goal: Goal,
    definition: ResourceDefinition,
    old: ResourceRecord,
  ): Promise<ResourceRecord> {
    const { nameProperty } = definition;
    const sameName = nameProperty !== undefined && old.inputs[nameProperty] === wish.inputs[nameProperty];
    // As the real providers: two things with one fixed name cannot stand side by side.
    const deleteFirst = goal.deleteBeforeReplace ?? (sameName || old.incomplete !== undefined);
    if (old.protect === true) {
      this.#run.fail(
        "replace",
        new EngineError(
          "protected",
          `this change needs a replacement, but "${old.name}" is protected. Remove "protect" and run up first.`,
        ),
        old.urn,
      );
      throw new NotAcceptingError();
    }
    if (!deleteFirst) return this.#create(wish, definition, "replace", old);
    const doomed = this.#mustGoWith(old);
    const before = this.#run.failures.length;
    for (const record of doomed) this.#deletedForReplacement.add(record.urn);
    const { kept } = await deleteResources(this.#run, doomed);
    if (kept.length > 0 || this.#run.failures.length > before || this.#run.stopping)
      throw new NotAcceptingError();
    // Their deletion is half of a replacement.
    this.#run.counts.deleted -= doomed.filter((record) => record.custom).length;
    return this.#create(wish, definition, "replace");
  }

  /** The resource and all that must be replaced because an input that cannot change in place came from it. */
  #mustGoWith(first: ResourceRecord): ResourceRecord[] {
    const doomed = new Set([first]);
    const { resources } = this.#run.parts.store.state;
    for (const gone of doomed) {
      for (const record of resources) {
        if (!record.custom || this.#registered.has(record.urn)) continue;
        const definition = this.#run.parts.providers.definition(record.type, record.provider);
        const fed = Object.entries(record.propertyDependencies).filter(([, urns]) => urns.includes(gone.urn));
        const bound = fed.some(
          ([key]) => definition.replaceOn === "all" || definition.replaceOn.includes(key),
        );
        if (bound || record.deletedWith === gone.urn) doomed.add(record);
      }
    }
    return [...doomed];
  }

  /** Looks for what an interrupted creation of this resource left. */
  async #takeUp(
    urn: string,
    goal: Goal,
    definition: ResourceDefinition,
  ): Promise<ResourceRecord | undefined> {
    const { store } = this.#run.parts;
    const pending = store.state.pendingCreations.find((record) => record.urn === urn);
    if (pending === undefined) return undefined;
    const find = definition.find?.bind(definition);
    if (find === undefined) {
      this.#run.tell("warning", `the creation of ${goal.name} was interrupted; it is created again`, urn);
      return undefined;
    }
    const found = await this.#operate(pending, "read", goal.customTimeouts?.create, (context) =>
      find(plainMap(pending.inputs), context),
    );
    store.state.pendingCreations = this.#withoutPending(urn);
    if (found === undefined) return undefined;
    const record: ResourceRecord = {
      ...pending,
      id: found.id,
      outputs: guardOutputs(definition, found.outputs, pending.inputs, goal.additionalSecretOutputs),
    };
    store.state.resources.push(record);
    await this.#saved(record);
    this.#run.tell(
      "info",
      `took over ${goal.name} (id ${found.id}), which an interrupted run had begun`,
      urn,
    );
    return record;
  }

  /** Outputs of a component or of the stack. */
  async registerOutputs(urn: string, outputs: PropertyMap): Promise<void> {
    const record = this.#find(urn);
    if (record === undefined) throw new EngineError("outputs", `outputs for ${urn}, which is not registered`);
    for (const value of Object.values(outputs)) this.#run.parts.mask.addFrom(value);
    record.outputs = outputs;
    if (record.type === rootStackType) {
      this.#run.emit({ kind: "outputs", outputs: masked(outputs) as PropertyMap });
    }
    await this.#track(this.#run.parts.store.save());
  }

  /** Calls a provider's function. A failure is the program's to handle. */
  async invoke(token: string, args: PropertyMap, provider: string | undefined): Promise<PropertyMap> {
    if (this.#run.stopping) throw new NotAcceptingError();
    const found = this.#run.parts.providers.forFunction(token, provider);
    if (found.invoke === undefined)
      throw new EngineError("unsupported", `${token}: this provider has no functions`);
    return this.#track(found.invoke(token, plainMap(args), this.#run.context(this.#run.ending)));
  }

  /** Deletes what the program did not ask for again, and what was replaced. */
  async removeRest(): Promise<void> {
    const { store } = this.#run.parts;
    await resolvePending(this.#run, (pending) => !this.#registered.has(pending.urn));
    const rest = store.state.resources.filter(
      (record) => record.pendingDelete === true || !this.#registered.has(record.urn),
    );
    if (rest.length === 0) return;
    const replaced = rest.filter((record) => record.pendingDelete === true && record.custom);
    await deleteResources(this.#run, rest);
    const gone = replaced.filter((record) => !store.state.resources.includes(record));
    this.#run.counts.deleted -= gone.length;
  }
}
