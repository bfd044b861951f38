/** What a killed run leaves in the state although it is not so any more. */
import { AbortedError } from "./errors.ts";
import { recorded } from "./deletion.ts";
import type { Run } from "./run.ts";
import type { ResourceRecord } from "./state.ts";

/**
 * Forgets those of the named resources that are gone, as Pulumi's refresh does (which also takes in how the others are
 * now; this does not).
 * @returns URNs of what was forgotten
 * @throws what the providers throw, AbortedError
 */
export async function forgetGone(run: Run, urns: ReadonlySet<string>): Promise<string[]> {
  const { state } = run.parts.store;
  const gone = new Set<string>();
  for (const record of state.resources.filter(({ urn, custom }) => custom && urns.has(urn))) {
    if (run.aborted) throw new AbortedError("refresh");
    const definition = run.parts.providers.definition(record.type, record.provider);
    const context = run.context(run.ending, record.urn);
    if ((await definition.isGone?.(recorded(record), context)) === true) gone.add(record.urn);
  }
  if (gone.size === 0) return [];
  state.resources = state.resources
    .filter(({ urn }) => !gone.has(urn))
    .map((record) => withoutReferences(record, gone));
  await run.parts.store.save();
  return [...gone];
}

function withoutReferences(record: ResourceRecord, gone: ReadonlySet<string>): ResourceRecord {
  const rest = (urns: readonly string[]): string[] => urns.filter((urn) => !gone.has(urn));
  const kept: ResourceRecord = {
    ...record,
    dependencies: rest(record.dependencies),
    propertyDependencies: Object.fromEntries(
      Object.entries(record.propertyDependencies).map(([key, urns]) => [key, rest(urns)]),
    ),
  };
  if (kept.deletedWith !== undefined && gone.has(kept.deletedWith)) delete kept.deletedWith;
  return kept;
}
