/**
 * Makes the stack what the program asks for, resource by resource. The program's RegisterResource calls wait until
 * their resource is done, so order and parallelism come from the program itself; this decides, for each, between
 * create, update, replace and same, and keeps the state true at every moment.
 */
import { deleteResources, recorded } from "./deletion.ts";
import { type Change, decide, demandUnprotected, mustGoWith } from "./decision.ts";
import { applyIgnoreChanges } from "./differences.ts";
import { EngineError, IncompleteCreationError, ProviderError } from "./errors.ts";
import { declared, type Goal } from "./goal.ts";
import { resolvePending } from "./pending.ts";
import { checkInputs, guardOutputs } from "./inputs.ts";
import { masked, plainMap, type PropertyMap } from "./properties.ts";
import type { Created, OperationContext, ResourceDefinition } from "./provider.ts";
import { NotAcceptingError, type Registered, type Registrar } from "./registrar.ts";
import { Registry } from "./registry.ts";
import { about, type Run } from "./run.ts";
import type { Declared, ResourceRecord } from "./state.ts";
import { rootStackType } from "./urn.ts";
import { UnderWay } from "./under-way.ts";

export class Deployment implements Registrar {
  readonly #run: Run;
  readonly #registry: Registry;
  /** Deleted before their replacement in this run: their creation counts as a replacement. */
  readonly #deletedForReplacement = new Map<string, ResourceRecord>();
  readonly #underWay = new UnderWay();
  /** When the first resource other than the stack itself was registered, in milliseconds of `performance.now()`. */
  firstRegistration: number | undefined;

  constructor(run: Run) {
    this.#run = run;
    this.#registry = new Registry(run.parts.identity, run.parts.store.state);
  }

  /** Resolves when nothing is under way. */
  settled(): Promise<void> {
    return this.#underWay.settled();
  }

  /** @throws NotAcceptingError when the run ends; the failure itself is recorded in the run */
  async register(goal: Goal): Promise<Registered> {
    if (this.#run.stopping) throw new NotAcceptingError();
    return this.#underWay.track(this.#register(goal));
  }

  async #register(goal: Goal): Promise<Registered> {
    const urn = this.#registry.urnOf(goal);
    if (goal.type !== rootStackType) this.firstRegistration ??= performance.now();
    try {
      this.#registry.enter(goal);
    } catch (error) {
      this.#run.fail("check", error, urn);
      throw new NotAcceptingError();
    }
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
      old = (await this.#takeUp(urn, goal, definition)) ?? this.#find(urn);
      const former = old ?? this.#deletedForReplacement.get(urn);
      const wanted =
        former === undefined
          ? goal.inputs
          : applyIgnoreChanges(goal.inputs, former.inputs, goal.ignoreChanges);
      inputs = checkInputs(definition, wanted, former?.inputs, goal.name);
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
    const change = decide(definition, old, wish.inputs, goal);
    if (change.kind === "replace") return this.#replace(wish, change, definition, old);
    const began = performance.now();
    const stale =
      change.kind === "same" &&
      (await definition.isStale?.(recorded(old), this.#run.context(this.#run.ending, old.urn))) === true;
    if (change.kind === "same" && !stale) {
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
    change: Extract<Change, { kind: "replace" }>,
    definition: ResourceDefinition,
    old: ResourceRecord,
  ): Promise<ResourceRecord> {
    const run = this.#run;
    const next = { ...wish, inputs: change.inputs };
    const { store, providers } = run.parts;
    const doomed = change.deleteFirst ? mustGoWith(old, store.state, this.#registry, providers) : [old];
    try {
      demandUnprotected(doomed);
    } catch (error) {
      run.fail("replace", error, old.urn);
      throw new NotAcceptingError();
    }
    if (!change.deleteFirst) return this.#create(next, definition, "replace", old);
    const before = run.failures.length;
    for (const record of doomed) this.#deletedForReplacement.set(record.urn, record);
    // After a failure elsewhere no further one goes: the next run could not tell why it is not there.
    const { kept } = await deleteResources(run, doomed, () => !run.stopping);
    // Their deletion is half of a replacement.
    run.counts.deleted -= doomed.filter((record) => !store.state.resources.includes(record)).length;
    if (kept.length > 0 || run.failures.length > before || run.stopping) throw new NotAcceptingError();
    return this.#create(next, definition, "replace");
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
    const old = this.#find(urn);
    // The interrupted creation was to replace one that is still there, under the same name.
    if (found === undefined || found.id === old?.id) return undefined;
    if (old !== undefined) old.pendingDelete = true;
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
    await this.#underWay.track(this.#run.parts.store.save());
  }

  /** Calls a provider's function. A failure is the program's to handle. */
  async invoke(token: string, args: PropertyMap, provider: string | undefined): Promise<PropertyMap> {
    if (this.#run.stopping) throw new NotAcceptingError();
    const found = this.#run.parts.providers.forFunction(token, provider);
    if (found.invoke === undefined)
      throw new EngineError("unsupported", `${token}: this provider has no functions`);
    return this.#underWay.track(found.invoke(token, plainMap(args), this.#run.context(this.#run.ending)));
  }

  /** Deletes what the program did not ask for again, and what was replaced. */
  async removeRest(): Promise<void> {
    const { store } = this.#run.parts;
    await resolvePending(this.#run, (pending) => !this.#registry.has(pending.urn));
    const rest = store.state.resources.filter(
      (record) => record.pendingDelete === true || !this.#registry.has(record.urn),
    );
    if (rest.length === 0) return;
    const replaced = rest.filter((record) => record.pendingDelete === true && record.custom);
    await deleteResources(this.#run, rest);
    const gone = replaced.filter((record) => !store.state.resources.includes(record));
    this.#run.counts.deleted -= gone.length;
  }
}
