/** Where a stack's state is kept: a file of this machine, or an object that several machines share. */
import type { RunIdentity } from "../../ops/engine/run-identity.ts";

/** A state that can be read and written. What it holds is opaque here. */
export interface StateAccess {
  /** For people: the file, or `s3://bucket/key`. */
  readonly name: string;
  /** @returns undefined when there is none */
  read(): Promise<string | undefined>;
  /** Whole or not at all. @throws StateLostError when another run has taken the state over */
  write(text: string): Promise<void>;
  /** Nothing is left of the stack. @throws as `write` */
  remove(): Promise<void>;
}

/** A state that this run alone may change. */
export interface LockedState extends StateAccess {
  /** Aborted with a StateLostError when another run has taken it over. */
  readonly lost: AbortSignal;
  /** Of a dead run that had not given it back, for people; undefined otherwise, or where nobody can tell. */
  readonly takenFrom?: string | undefined;
  release(): Promise<void>;
}

/** Who holds a state's lock. */
export interface StateLockHolder extends Pick<RunIdentity, "pid"> {
  /** For people. */
  text: string;
  /** A dead holder's lock is taken over by the next run. */
  isAlive: boolean;
}

/** See the module's description. */
export interface StatePlace {
  readonly name: string;
  /** A folder of this machine for the records of running children (`ProcessRegistry`). */
  readonly processes: string;
  /** Without locking: writes are atomic. @returns undefined when there is no state */
  read(): Promise<string | undefined>;
  /** @throws StateLockedError when a live run holds it */
  lock(): Promise<LockedState>;
  /** @returns undefined when nobody holds it */
  lockHolder(): Promise<StateLockHolder | undefined>;
  /** Lets go of connections. */
  close(): void;
}
