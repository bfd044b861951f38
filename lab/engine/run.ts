/**
 * What `up` and `destroy` share: the state, the providers, the limit on parallel operations, the counting and
 * reporting of each operation, and the way a run is stopped.
 */
import type { ProcessRegistry } from "../processes.ts";
import { type EngineClock, realClock } from "./clock.ts";
import { parseDuration } from "./duration.ts";
import { AbortedError, EngineError, type Failure, messageOf } from "./errors.ts";
import type { Counts, EngineEvent, Operation } from "./events.ts";
import { Limiter } from "./limiter.ts";
import type { OperationContext } from "./provider.ts";
import type { Providers } from "./providers.ts";
import type { SecretMask } from "./secret-mask.ts";
import type { Declared, StateStore } from "./state.ts";
import type { Identity } from "./urn.ts";

const counted: Partial<Record<Operation, keyof Counts>> = {
  create: "created",
  update: "updated",
  replace: "replaced",
  delete: "deleted",
  same: "same",
};

/** What a run is made of. */
export interface RunParts {
  identity: Identity;
  store: StateStore;
  providers: Providers;
  mask: SecretMask;
  processes: ProcessRegistry;
  /** Default: real time. */
  clock?: EngineClock;
  environment: Readonly<Record<string, string>>;
  workingDirectory: string;
  /** Most operations under way at once. */
  parallel: number;
  onEvent: (event: EngineEvent) => void;
  signal?: AbortSignal;
  /** After the stop, operations under way get this long before they are ended too, in milliseconds. */
  abortGraceMilliseconds: number;
}

export class Run {
  readonly parts: RunParts;
  readonly counts: Counts = { created: 0, updated: 0, replaced: 0, deleted: 0, same: 0 };
  readonly failures: Failure[] = [];
  readonly #limiter: Limiter;
  readonly #end = new AbortController();
  readonly #stopListeners = new Set<() => void>();
  readonly #failureListeners = new Set<() => void>();
  #graceTimer: NodeJS.Timeout | undefined;
  #aborted = false;

  constructor(parts: RunParts) {
    this.parts = parts;
    this.#limiter = new Limiter(parts.parallel);
    if (parts.signal?.aborted === true) this.#abort();
    else parts.signal?.addEventListener("abort", this.#abort, { once: true });
  }

  readonly #abort = (): void => {
    this.#aborted = true;
    this.#graceTimer = setTimeout(
      () => this.#end.abort(new AbortedError("The operation")),
      this.parts.abortGraceMilliseconds,
    );
    for (const listener of this.#stopListeners) listener();
  };

  /** Whether the run was stopped from outside. */
  get aborted(): boolean {
    return this.#aborted;
  }

  /** Aborted when even operations under way must end. */
  get ending(): AbortSignal {
    return this.#end.signal;
  }

  /** Whether no new operation may begin: stopped, or something failed during an `up`. */
  get stopping(): boolean {
    return this.#aborted || this.failures.length > 0;
  }

  /** Calls `listener` when the run is stopped from outside. */
  onAbort(listener: () => void): void {
    this.#stopListeners.add(listener);
    if (this.#aborted) listener();
  }

  /** Calls `listener` at the first failure. */
  onFailure(listener: () => void): void {
    this.#failureListeners.add(listener);
  }

  /** Lets go of timers and listeners. */
  close(): void {
    clearTimeout(this.#graceTimer);
    this.parts.signal?.removeEventListener("abort", this.#abort);
  }

  /** Reports with every secret masked. */
  emit(event: EngineEvent): void {
    const { mask, onEvent } = this.parts;
    if (event.kind === "outputs") onEvent({ ...event, outputs: mask.applyToMap(event.outputs) });
    else if ("message" in event && event.message !== undefined) {
      onEvent({ ...event, message: mask.apply(event.message) });
    } else onEvent(event);
  }

  /** A line of the engine's own. */
  tell(severity: "info" | "warning" | "error", message: string, urn?: string): void {
    this.emit({
      kind: "diagnostic",
      severity,
      source: "engine",
      message,
      ...(urn === undefined ? {} : { urn }),
    });
  }

  /** Records a failure; its message is masked. */
  fail(operation: Failure["operation"], error: unknown, urn?: string): Failure {
    const failure: Failure = {
      operation,
      message: this.parts.mask.apply(messageOf(error)),
      ...(urn === undefined ? {} : { urn }),
      ...(error instanceof EngineError ? { code: error.code } : {}),
    };
    this.failures.push(failure);
    if (this.failures.length === 1) for (const listener of this.#failureListeners) listener();
    return failure;
  }

  /** Surroundings for a provider's operation; `signal` ends it. */
  context(signal: AbortSignal, urn?: string): OperationContext {
    const { environment, workingDirectory, processes, clock = realClock } = this.parts;
    return {
      signal,
      environment,
      workingDirectory,
      processes,
      clock,
      log: (severity, message) =>
        this.emit({
          kind: "diagnostic",
          severity,
          source: "provider",
          message,
          ...(urn === undefined ? {} : { urn }),
        }),
    };
  }

  /** Announces the end of something that needed no provider. */
  finished(resource: Declared, operation: Operation, milliseconds: number, message?: string): void {
    this.#count(resource, operation);
    this.emit({
      kind: "resource-finished",
      ...about(resource, operation),
      milliseconds,
      ...(message === undefined ? {} : { message }),
    });
  }

  #count(resource: Declared, operation: Operation): void {
    const key = counted[operation];
    if (resource.custom && key !== undefined) this.counts[key] += 1;
  }

  /**
   * Runs one operation on a resource: waits for a free place, reports start and end, applies the time limit.
   * A failure is reported and recorded, then thrown again.
   * @param mayBegin asked when the place is free; false gives an AbortedError without a trace
   * @param timeout Pulumi duration text, for example `10m`
   */
  async operate<T>(
    resource: Declared,
    operation: Exclude<Operation, "same">,
    timeout: string | undefined,
    mayBegin: () => boolean,
    work: (context: OperationContext) => Promise<T>,
  ): Promise<T> {
    const release = await this.#limiter.enter();
    const began = performance.now();
    try {
      if (!mayBegin()) throw new AbortedError("The run");
      this.emit({ kind: "resource-started", ...about(resource, operation) });
      try {
        const result = await this.#limited(timeout, operation, (signal) =>
          work(this.context(signal, resource.urn)),
        );
        this.#count(resource, operation);
        this.emit({
          kind: "resource-finished",
          ...about(resource, operation),
          milliseconds: performance.now() - began,
        });
        return result;
      } catch (error) {
        const failure = this.fail(operation, error, resource.urn);
        this.emit({
          kind: "resource-failed",
          ...about(resource, operation),
          milliseconds: performance.now() - began,
          message: failure.message,
          ...(failure.code === undefined ? {} : { code: failure.code }),
        });
        throw error;
      }
    } finally {
      release();
    }
  }

  async #limited<T>(
    timeout: string | undefined,
    operation: string,
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    if (timeout === undefined) return withReason(this.#end.signal, work);
    const limit = new AbortController();
    const timer = setTimeout(
      () =>
        limit.abort(
          new EngineError(
            "timeout",
            `not done after ${timeout}, the limit that customTimeouts.${operation} sets`,
          ),
        ),
      parseDuration(timeout),
    );
    try {
      return await withReason(AbortSignal.any([this.#end.signal, limit.signal]), work);
    } finally {
      clearTimeout(timer);
    }
  }
}

/** Runs work; when it ends because of the signal, the error is the signal's reason, whatever was thrown. */
async function withReason<T>(signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  try {
    return await work(signal);
  } catch (error) {
    throw signal.aborted ? signal.reason : error;
  }
}

/** The part of an event that says which resource it is about. */
export function about(
  resource: Declared,
  operation: Operation,
): { urn: string; type: string; name: string; parent?: string; component: boolean; operation: Operation } {
  return {
    urn: resource.urn,
    type: resource.type,
    name: resource.name,
    ...(resource.parent === undefined ? {} : { parent: resource.parent }),
    component: !resource.custom,
    operation,
  };
}
