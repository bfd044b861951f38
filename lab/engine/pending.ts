/** Creations that an earlier run began and whose end nobody saw. */
import { AbortedError, EngineError } from "./errors.ts";
import { guardOutputs } from "./inputs.ts";
import { plainMap } from "./properties.ts";
import type { Created } from "./provider.ts";
import type { Run } from "./run.ts";
import type { Declared } from "./state.ts";

/**
 * Turns begun creations that no program will register again into ordinary resources (when something is there),
 * so that they can be deleted, or forgets them.
 */
export async function resolvePending(run: Run, which: (pending: Declared) => boolean): Promise<void> {
  const { store } = run.parts;
  for (const pending of store.state.pendingCreations.filter(which)) {
    if (run.aborted) throw new AbortedError("The run");
    const definition = run.parts.providers.definition(pending.type, pending.provider);
    let found: Created | undefined;
    try {
      found = await definition.find?.(plainMap(pending.inputs), run.context(run.ending, pending.urn));
      if (definition.find === undefined) {
        run.tell(
          "warning",
          `the creation of ${pending.name} was interrupted; there is nothing to look up`,
          pending.urn,
        );
      }
    } catch (error) {
      if (!(error instanceof EngineError)) throw error;
      run.tell(
        "warning",
        `${pending.name}, whose creation was interrupted, is left alone: ${error.message}`,
        pending.urn,
      );
    }
    store.state.pendingCreations = store.state.pendingCreations.filter((other) => other !== pending);
    if (found !== undefined) {
      store.state.resources.push({
        ...pending,
        id: found.id,
        outputs: guardOutputs(
          definition,
          found.outputs,
          pending.inputs,
          pending.additionalSecretOutputs ?? [],
        ),
      });
    }
    await store.save();
  }
}
