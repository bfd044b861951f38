/** Gives a resource that stands in the state under a former name (an alias) its new one. */
import type { Declared, StackState } from "./state.ts";

/**
 * Renames in the whole state, in place: also where others depend on it.
 * @param urn the new name; nothing happens when the state knows it already
 * @param former names under which it may stand, in order of preference
 * @param taken whether another resource of this run has a former name
 */
export function renameFormer(
  state: StackState,
  urn: string,
  resource: { name: string; type: string },
  former: readonly string[],
  taken: (urn: string) => boolean,
): void {
  const known = (name: string): boolean =>
    [...state.resources, ...state.pendingCreations].some((record) => record.urn === name);
  if (known(urn)) return;
  const old = former.find((name) => known(name) && !taken(name));
  if (old === undefined) return;
  const renamed = (name: string): string => (name === old ? urn : name);
  for (const record of [...state.resources, ...state.pendingCreations] as Declared[]) {
    if (record.urn === old) Object.assign(record, { urn, name: resource.name, type: resource.type });
    if (record.parent !== undefined) record.parent = renamed(record.parent);
    if (record.deletedWith !== undefined) record.deletedWith = renamed(record.deletedWith);
    if (record.provider?.startsWith(`${old}::`) === true) {
      record.provider = urn + record.provider.slice(old.length);
    }
    record.dependencies = record.dependencies.map(renamed);
    record.propertyDependencies = Object.fromEntries(
      Object.entries(record.propertyDependencies).map(([key, urns]) => [key, urns.map(renamed)]),
    );
  }
}
