/** Which place a state's location names. */
import { createHash } from "node:crypto";
import path from "node:path";
import { runIdentity } from "../../ops/engine/run-identity.ts";
import { openStateBucket } from "../../ops/engine/state-bucket.ts";
import { labDirectories } from "../directories.ts";
import { ConfigurationError, EngineError } from "./errors.ts";
import type { EngineOptions } from "./options.ts";
import { StateFile } from "./state-file.ts";
import { SharedState, stateObjectAt } from "./state-object.ts";
import type { LockedState, StatePlace } from "./state-place.ts";

/** What says where a state is. */
export type StateLocation = Pick<EngineOptions, "stateFile" | "stateBucket" | "environment" | "signal">;

/** The place; close it when done. @throws ConfigurationError */
export function statePlace({ stateFile, stateBucket, environment = {}, signal }: StateLocation): StatePlace {
  if (!stateFile.startsWith("s3://")) return new StateFile(stateFile);
  const object = stateObjectAt(stateFile);
  const problems = [
    ...(object === undefined ? [`stateFile: ${stateFile}, expected s3://bucket/key`] : []),
    ...(stateBucket === undefined ? ["stateBucket: needed for a state in a bucket"] : []),
  ];
  if (object === undefined || stateBucket === undefined) {
    throw new ConfigurationError("options of the lab engine", problems);
  }
  const { bucket, key } = object;
  const { leaseMs } = stateBucket;
  const name = createHash("sha256").update(`${stateBucket.endpoint} ${stateFile}`).digest("hex").slice(0, 16);
  return new SharedState({
    bucket: openStateBucket({ ...stateBucket, bucket }),
    key,
    processes: path.join(labDirectories.state, `shared-${name}.processes`),
    holder: runIdentity({ ...process.env, ...environment }),
    leaseMs,
    signal,
  });
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
