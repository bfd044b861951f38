/** Which place a state's location names. */
import { ConfigurationError, EngineError } from "./errors.ts";
import type { EngineOptions } from "./options.ts";
import { StateFile } from "./state-file.ts";
import { SharedState, stateObjectAt } from "./state-object.ts";
import type { LockedState, StatePlace } from "./state-place.ts";

/** What says where a state is. */
export type StateLocation = Pick<EngineOptions, "stateFile" | "stateBucket" | "environment">;

/** The place; close it when done. @throws ConfigurationError */
export function statePlace({ stateFile, stateBucket, environment = {} }: StateLocation): StatePlace {
  if (!stateFile.startsWith("s3://")) return new StateFile(stateFile);
  const object = stateObjectAt(stateFile);
  const problems = [
    ...(object === undefined ? [`stateFile: ${stateFile}, expected s3://bucket/key`] : []),
    ...(stateBucket === undefined ? ["stateBucket: needed for a state in a bucket"] : []),
  ];
  if (object === undefined || stateBucket === undefined) {
    throw new ConfigurationError("options of the lab engine", problems);
  }
  return new SharedState(object, stateBucket, { ...process.env, ...environment });
}

/** As {@link statePlace}, for `work`; closed then. */
export async function withStatePlace<T>(
  location: StateLocation,
  work: (place: StatePlace) => Promise<T>,
): Promise<T> {
  const place = statePlace(location);
  try {
    return await work(place);
  } finally {
    place.close();
  }
}

/** A place as a run sees it that only reads. */
export function readOnly(place: StatePlace): LockedState {
  const refuse = (): Promise<never> =>
    Promise.reject(
      new EngineError("read-only", `${place.name}: a run that only reads wanted to write the state`),
    );
  return {
    name: place.name,
    read: () => place.read(),
    write: refuse,
    remove: refuse,
    lost: new AbortController().signal,
    release: () => Promise.resolve(),
  };
}
