/** What went wrong with one resource or one part of a run. */
export interface Failure {
  /** The resource, absent when the failure is the program's or the engine's own. */
  urn?: string;
  /** What was tried. */
  operation: "check" | "create" | "update" | "replace" | "delete" | "read" | "invoke" | "program";
  /** Plain text for people; holds no secret. */
  message: string;
  /** A machine-readable reason where there is one, for example the error code of the Hetzner API. */
  code?: string;
}

/** Base of everything that the engine throws on purpose. `code` names the kind for programs. */
export class EngineError extends Error {
  readonly code: string;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}

/** The program asked for something that this engine does not do; it says so instead of ignoring it. */
export class UnsupportedError extends EngineError {
  /** @param feature the name of the option or call, as the Pulumi SDK spells it. */
  constructor(feature: string, where: string) {
    super(
      "unsupported",
      `${where}: "${feature}" is not supported by the lab engine. Remove it, or run this program with the Pulumi CLI.`,
    );
  }
}

/** The state file cannot be decrypted with this passphrase. */
export class WrongPassphraseError extends EngineError {
  constructor(file: string) {
    super(
      "wrong-passphrase",
      `${file}: the passphrase does not open this state (or the file was changed). Use the passphrase of the run that wrote it.`,
    );
  }
}

/** The state file is not one of ours, or of another stack. */
export class StateFormatError extends EngineError {
  constructor(file: string, problem: string) {
    super("state-format", `${file}: ${problem}`);
  }
}

/** Another live run holds the state. */
export class StateLockedError extends EngineError {
  readonly pid: number;

  /** @param why what is known of that run beside its name */
  constructor(name: string, owner: string, pid: number, why = "") {
    super(
      "state-locked",
      `${name}: another run (${owner}) is using this state. Wait until it ends, or end it, and run again.` +
        (why === "" ? "" : `\n${why}`),
    );
    this.pid = pid;
  }
}

/** Another run has taken the state over: this one was frozen, or could not reach the bucket, for longer than its lease. */
export class StateLostError extends EngineError {
  constructor(name: string, why: string) {
    super(
      "state-lost",
      `${name}: another run has taken this state over, and this one ends without writing to it.${why} ` +
        "Run it again when the other one has ended: it goes on from what both have done.",
    );
  }
}

/** The project or an option of the engine is wrong; lists every mistake. */
export class ConfigurationError extends EngineError {
  readonly problems: readonly string[];

  constructor(where: string, problems: readonly string[]) {
    super("configuration", `${where}:\n${problems.map((problem) => `  - ${problem}`).join("\n")}`);
    this.problems = problems;
  }
}

/** Inputs of a resource that its provider does not accept; lists every one. */
export class CheckError extends EngineError {
  readonly problems: readonly { property: string; reason: string }[];

  constructor(problems: readonly { property: string; reason: string }[]) {
    super(
      "check",
      `inputs are not valid:\n${problems
        .map(({ property, reason }) => `  - ${property === "" ? "(resource)" : property}: ${reason}`)
        .join("\n")}`,
    );
    this.problems = problems;
  }
}

/** A provider could not do what was asked. `code` is the remote API's own code where it has one. */
export class ProviderError extends EngineError {}

/**
 * A creation that failed half way: the thing exists (and may bill) but is not in order. The engine records it, so
 * that the next run replaces it and `destroy` removes it.
 */
export class IncompleteCreationError extends ProviderError {
  readonly id: string;
  readonly outputs: Record<string, unknown>;

  constructor(code: string, message: string, id: string, outputs: Record<string, unknown>) {
    super(code, message);
    this.id = id;
    this.outputs = outputs;
  }
}

/** The run was stopped through its AbortSignal. The state is saved; the next run goes on from it. */
export class AbortedError extends EngineError {
  constructor(what: string) {
    super("aborted", `${what} was stopped. The state is saved; run it again to go on, or destroy.`);
  }
}

/** One or more operations, or the program itself, failed. What succeeded is in the state. */
export class DeploymentFailedError extends EngineError {
  readonly failures: readonly Failure[];

  constructor(what: string, failures: readonly Failure[]) {
    super(
      "deployment-failed",
      `${what} failed:\n${failures
        .map(({ urn, operation, message }) => {
          const subject =
            urn === undefined ? operation : `${operation} of ${urn.split("::").slice(2).join(" ")}`;
          return `  - ${subject}: ${message.split("\n").join("\n    ")}`;
        })
        .join("\n")}`,
    );
    this.failures = failures;
  }
}

/** The text of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
