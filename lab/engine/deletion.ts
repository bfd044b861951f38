/**
 * Deletes a set of resources, each after all that stand on it, as far in parallel as that allows. A resource that
 * cannot be deleted keeps everything that it stands on; the rest goes on. What is `deletedWith` something that goes
 * too is dropped without asking its provider (the same moment at which Pulumi drops it).
 */
import { AbortedError } from "./errors.ts";
import { plainMap } from "./properties.ts";
import type { Recorded } from "./provider.ts";
import type { Run } from "./run.ts";
import type { ResourceRecord } from "./state.ts";

/** URNs of everything that a resource stands on. */
export function foundations(resource: ResourceRecord): Set<string> {
  const { dependencies, propertyDependencies, provider, parent, deletedWith } = resource;
  const urns = new Set([...dependencies, ...Object.values(propertyDependencies).flat()]);
  if (provider !== undefined) urns.add(provider.slice(0, provider.lastIndexOf("::")));
  if (parent !== undefined) urns.add(parent);
  if (deletedWith !== undefined) urns.add(deletedWith);
  urns.delete(resource.urn);
  return urns;
}

/** The record as providers take it. */
export function recorded(resource: ResourceRecord): Recorded {
  return { id: resource.id, inputs: plainMap(resource.inputs), outputs: plainMap(resource.outputs) };
}

/** Outcome of a deletion: what stayed because something above it failed or the run was stopped. */
export interface DeletionResult {
  kept: ResourceRecord[];
}

/**
 * @param records what to delete; each must be in the run's state
 * @param mayBegin asked before each deletion. Default: as long as the run is not stopped from outside.
 * Failures are recorded in the run, not thrown.
 */
export async function deleteResources(
  run: Run,
  records: readonly ResourceRecord[],
  mayBegin: () => boolean = () => !run.aborted,
): Promise<DeletionResult> {
  const { state } = run.parts.store;
  const going = new Set(records.map((record) => record.urn));
  const standingOn = new Map<string, ResourceRecord[]>();
  for (const record of records) {
    for (const urn of foundations(record)) standingOn.set(urn, [...(standingOn.get(urn) ?? []), record]);
  }
  const kept: ResourceRecord[] = [];
  const outcomes = new Map<ResourceRecord, Promise<boolean>>();

  const drop = async (record: ResourceRecord): Promise<void> => {
    state.resources = state.resources.filter((other) => other !== record);
    await run.parts.store.save();
  };

  const remove = async (record: ResourceRecord): Promise<boolean> => {
    const above = standingOn.get(record.urn) ?? [];
    const gone = await Promise.all(above.map((other) => outcome(other)));
    if (gone.includes(false) || !mayBegin()) {
      kept.push(record);
      return false;
    }
    if (!record.custom) {
      await drop(record);
      run.finished(record, "delete", 0);
      return true;
    }
    if (record.protect === true) {
      run.fail("delete", new ProtectedError(record), record.urn);
      kept.push(record);
      return false;
    }
    if (record.retainOnDelete === true) {
      await drop(record);
      run.finished(record, "delete", 0, "is only forgotten (retainOnDelete)");
      return true;
    }
    if (record.deletedWith !== undefined && going.has(record.deletedWith)) {
      await drop(record);
      run.finished(record, "delete", 0, `goes with ${record.deletedWith.split("::").at(-1)}`);
      return true;
    }
    try {
      await run.operate(record, "delete", record.customTimeouts?.delete, mayBegin, async (context) => {
        const definition = run.parts.providers.definition(record.type, record.provider);
        await definition.delete(recorded(record), context);
        await drop(record);
      });
      return true;
    } catch (error) {
      if (error instanceof AbortedError && !mayBegin()) kept.push(record);
      return false;
    }
  };

  // Circular references cannot come from a program (a resource names only finished ones), so this ends.
  const outcome = (record: ResourceRecord): Promise<boolean> => {
    let result = outcomes.get(record);
    if (result === undefined) {
      result = Promise.resolve().then(() => remove(record));
      outcomes.set(record, result);
    }
    return result;
  };

  await Promise.all(records.map(outcome));
  return { kept };
}

/** The program protects it. */
class ProtectedError extends Error {
  constructor(record: ResourceRecord) {
    super(`${record.name} is protected: remove "protect" from the program and run up, then delete it.`);
  }
}
