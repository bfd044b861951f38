/** What a difference between the state and the program leads to. `up` and `preview` decide here, so that they agree. */
import { difference } from "./differences.ts";
import { EngineError } from "./errors.ts";
import type { Goal } from "./goal.ts";
import { checkInputs } from "./inputs.ts";
import type { PropertyMap } from "./properties.ts";
import type { ResourceDefinition } from "./provider.ts";
import type { Providers } from "./providers.ts";
import type { Registry } from "./registry.ts";
import type { ResourceRecord, StackState } from "./state.ts";

/** The difference of one resource that exists. */
export type Change =
  | { kind: "same" }
  /** `changed` are top-level inputs. */
  | { kind: "update"; changed: readonly string[] }
  | {
      kind: "replace";
      changed: readonly string[];
      /** Top-level inputs that force it; empty when something else does, see `reason`. */
      forcing: readonly string[];
      reason?: string;
      /** For the new one: where a name was generated, it gets a new one. */
      inputs: PropertyMap;
      /** The old one goes before the new one comes; otherwise at the end of the run. */
      deleteFirst: boolean;
    };

/**
 * @param old as the state has it
 * @param inputs checked, with ignored changes taken back
 */
export function decide(
  definition: ResourceDefinition,
  old: ResourceRecord,
  inputs: PropertyMap,
  goal: Goal,
): Change {
  const found = difference(definition, old.inputs, inputs, goal.replaceOnChanges);
  const elsewhere = (old.provider ?? "") !== (goal.provider ?? "");
  if (old.incomplete === undefined && !elsewhere && found.replace.length === 0) {
    return found.changed.length === 0 ? { kind: "same" } : { kind: "update", changed: found.changed };
  }
  const { nameProperty } = definition;
  const generated = nameProperty !== undefined && (goal.inputs[nameProperty] ?? null) === null;
  const fixed =
    definition.sameThing?.(old.inputs, inputs) ??
    (nameProperty !== undefined && !generated && old.inputs[nameProperty] === inputs[nameProperty]);
  return {
    kind: "replace",
    changed: found.changed,
    forcing: found.replace,
    ...(elsewhere ? { reason: "its provider changes" } : {}),
    ...(old.incomplete === undefined ? {} : { reason: `its creation failed half way: ${old.incomplete}` }),
    // Ignored changes stay ignored, and only a generated name is generated anew.
    inputs: generated ? withNewName(definition, inputs, nameProperty, goal.name) : inputs,
    // As in Pulumi: two things with one fixed name cannot stand side by side, but a change of the provider does not ask.
    deleteFirst: goal.deleteBeforeReplace ?? ((fixed && !elsewhere) || old.incomplete !== undefined),
  };
}

function withNewName(
  definition: ResourceDefinition,
  inputs: PropertyMap,
  nameProperty: string,
  name: string,
): PropertyMap {
  const { [nameProperty]: _former, ...rest } = inputs;
  return checkInputs(definition, rest, undefined, name, "allowed");
}

/**
 * A resource that is deleted before its replacement, and all that must go with it: what got an input that cannot
 * change in place from it, and what is `deletedWith` it.
 */
export function mustGoWith(
  first: ResourceRecord,
  state: StackState,
  registry: Registry,
  providers: Providers,
): ResourceRecord[] {
  const doomed = new Set([first]);
  for (const gone of doomed) {
    for (const record of state.resources) {
      if (!record.custom || record.pendingDelete === true || registry.has(record.urn)) continue;
      const definition = providers.definition(record.type, record.provider);
      const fed = Object.entries(record.propertyDependencies).filter(([, urns]) => urns.includes(gone.urn));
      const bound = fed.some(
        ([key]) =>
          definition.replaceOn === "all" ||
          definition.update === undefined ||
          definition.replaceOn.includes(key) ||
          definition.boundBy?.includes(key) === true,
      );
      if (bound || record.deletedWith === gone.urn) doomed.add(record);
    }
  }
  return [...doomed];
}

/**
 * @param doomed what a replacement would delete
 * @throws EngineError when the program protected any of it: then nothing of it is touched
 */
export function demandUnprotected(doomed: readonly ResourceRecord[]): void {
  const kept = doomed.find((record) => record.protect === true);
  if (kept === undefined) return;
  throw new EngineError(
    "protected",
    `this change needs a replacement, but "${kept.name}" is protected. Remove "protect" and run up first.`,
  );
}
