/**
 * What `trading open` and `trading close` need of whatever runs the Pulumi program. Two things can: the Pulumi CLI
 * (ops/engine/pulumi.ts), and a module that TRADING_ENGINE names, for rehearsals on a machine without a cloud.
 */

/** A resource that the state knows. */
export interface StackResource {
  urn: string;
  /** For example `hcloud:index/server:Server`. */
  type: string;
  /** The name in the program, not the one at the provider. */
  name: string;
  /** The provider's id; empty for components. */
  id: string;
}

/** A creation that a run began and whose end it did not see. */
export interface PendingCreation {
  urn: string;
  type: string;
  /** The name it gives to the thing at the provider; undefined when it has none. */
  resourceName: string | undefined;
}

/** Which cluster the state is of, as the labels of its resources say. */
export interface StackCluster {
  clusterId: string;
  /** `YYYY-MM-DD` */
  businessDate: string;
  /** Which bucket its archive is in (components/archive-mark.ts); undefined where no label says it. */
  archive?: string;
}

/** What a state holds. */
export interface StackState {
  /** Components included. */
  resources: StackResource[];
  pending: PendingCreation[];
  /** Undefined while nothing that carries labels was begun. */
  cluster: StackCluster | undefined;
}

/** What a run tells while it goes on; no secret is in it. */
export type StackEvent =
  | {
      kind: "resource";
      status: "started" | "done" | "failed";
      /** `create`, `update`, `delete`, … */
      operation: string;
      type: string;
      name: string;
    }
  | { kind: "line"; severity: "info" | "warning" | "error"; text: string };

/** Arguments of a run. */
export interface StackRunOptions {
  /** Configuration that counts for this run only, beside or instead of the stack's own: `trading:<key>` to text or JSON. */
  config?: Readonly<Record<string, string>>;
  /** Stops the run; what was done is kept in the state. */
  signal: AbortSignal;
  /** Must not throw. */
  onEvent?: (event: StackEvent) => void;
}

/** Arguments of a `destroy`. */
export interface StackDestroyOptions extends Omit<StackRunOptions, "config"> {
  /**
   * The control plane is known to be gone: Kubernetes objects that cannot be reached are deleted with it, instead of
   * failing. Default: false.
   */
  forgetKubernetes?: boolean;
}

/** Runs one stack of the program. Every method may throw a {@link StackEngineError} or one of its subclasses. */
export interface StackEngine {
  /** For people: which engine this is. */
  readonly description: string;
  /**
   * Whether `up` and `destroy` find what a killed run began, by its labels and name, and go on with it. Otherwise such a
   * thing is unknown to the engine for good, and its name is taken.
   */
  readonly adoptsPending: boolean;
  /** The stack's configuration, secrets decrypted: full key to text, objects and lists as JSON. */
  config(): Promise<Record<string, string>>;
  /**
   * Makes the state one that a run can begin with: the lock of a dead run goes, and so do creations that this engine does
   * not adopt. @throws StackLockedError when another run is under way.
   */
  settle(): Promise<void>;
  /**
   * Reads resources of the state at their providers; what is gone there leaves the state. A killed `destroy` makes this
   * needed: a deletion can have been carried out before its end was written down.
   * @param urns the resources; others are left as they are
   */
  refresh(urns: readonly string[], options: Pick<StackRunOptions, "signal" | "onEvent">): Promise<void>;
  /** Undefined when there is none. */
  state(): Promise<StackState | undefined>;
  /** The outputs of the last `up`, secret ones in clear. Empty when there is no cluster. */
  outputs(): Promise<Record<string, unknown>>;
  /** Makes the stack what the program asks for. @returns its outputs, without the secret ones. */
  up(options: StackRunOptions): Promise<{ outputs: Record<string, unknown> }>;
  /** Deletes all that the state knows, the export gates first. */
  destroy(options: StackDestroyOptions): Promise<void>;
}

/** How an engine is opened. */
export interface StackEngineArguments {
  stack: string;
  /** Told what people should know besides, for example whose lock was broken. Default: nobody is told. */
  note?: (line: string) => void;
  /** Ends the wait for another run's lease. Default: it is waited for. */
  signal?: AbortSignal;
  /** Folder with `Pulumi.yaml`. */
  projectDirectory: string;
  environment: Readonly<Record<string, string | undefined>>;
}

/** What a module named by TRADING_ENGINE exports. */
export interface StackEngineModule {
  openStackEngine(args: StackEngineArguments): Promise<StackEngine>;
}

/** One thing that went wrong in a run. */
export interface StackFailure {
  /** Undefined when the program itself failed. */
  urn: string | undefined;
  /** The resource's name in the program; undefined as above. */
  name: string | undefined;
  /** The provider's error code where it has one, for example `resource_unavailable`. */
  code: string | undefined;
  /** For people. */
  message: string;
}

/** A run failed. What was done before is in the state. */
export class StackEngineError extends Error {
  override readonly name: string = "StackEngineError";
  /** Never empty for a failed run. */
  readonly failures: readonly StackFailure[];

  constructor(message: string, failures: readonly StackFailure[] = [], options?: ErrorOptions) {
    super(message, options);
    this.failures = failures;
  }
}

/** The run was stopped by its signal. */
export class StackRunAbortedError extends StackEngineError {
  override readonly name = "StackRunAbortedError";
}

/** Another run works on this stack. */
export class StackLockedError extends StackEngineError {
  override readonly name = "StackLockedError";
}

/** There is nothing that could run the program, or no such stack; the message says what to do. */
export class StackUnavailableError extends StackEngineError {
  override readonly name = "StackUnavailableError";
}

/** A failed run, told in one message with every failure in it. */
export function failedRun(
  what: string,
  failures: readonly StackFailure[],
  cause?: unknown,
): StackEngineError {
  const lines = failures.map(({ name, message }) => {
    const text = message.trim().split("\n").join("\n    ");
    return name === undefined ? `  - ${text}` : `  - ${name}: ${text}`;
  });
  return new StackEngineError(`${what} failed:\n${lines.join("\n")}`, failures, { cause });
}

/** A resource's name from its URN. */
export function nameOfUrn(urn: string): string {
  return urn.split("::").at(-1) ?? urn;
}

/**
 * The cluster that labels tell.
 * @param labelled inputs or outputs of resources, in any order; those without our labels are passed over.
 */
export function clusterOf(labelled: Iterable<Readonly<Record<string, unknown>>>): StackCluster | undefined {
  for (const { labels } of labelled) {
    if (typeof labels !== "object" || labels === null) continue;
    const {
      "cluster-id": clusterId,
      "business-date": businessDate,
      archive,
    } = labels as Record<string, unknown>;
    if (typeof clusterId === "string" && typeof businessDate === "string")
      return { clusterId, businessDate, ...(typeof archive === "string" ? { archive } : {}) };
  }
  return undefined;
}
