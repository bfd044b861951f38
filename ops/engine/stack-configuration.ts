/**
 * Where a stack's configuration is kept, for what sets it up: it must be readable and writable before there is a
 * stack that an engine could open.
 */
import type { StackEngineArguments } from "./stack-engine.ts";

/** What is set. */
export interface StackConfigurationEntries {
  /** Full key to text, objects and lists as JSON, secrets decrypted; as `StackEngine.config()` gives them. */
  entries: Record<string, string>;
  /** The keys whose values are kept encrypted; those that cannot be decrypted without the passphrase have no entry. */
  secretKeys: string[];
}

/** One value to be set. */
export interface ConfigurationChange {
  /** The full key (`trading:archive`), and the way inside its value (`endpoint`). Secrets are never inside. */
  path: readonly [string, ...string[]];
  value: unknown;
  secret: boolean;
}

/** How secrets are encrypted. */
export type Passphrase =
  /** Not by a passphrase, or by one that is no concern of the configuration. */
  | "none"
  | "given"
  /** Secrets are there that only the stack's own passphrase opens. */
  | "missing"
  /** None has been chosen yet. */
  | "to be chosen";

/** Keeps one stack's configuration. Every method may throw a StackEngineError. */
export interface StackConfigurationStore {
  /** For people: where it is. */
  readonly description: string;
  /** For people: how secrets stand there. */
  readonly secretsAre: "encrypted" | "in clear, readable by you alone";
  /** Whether this environment has what encrypts. */
  readonly passphrase: Passphrase;
  /** What is set; nothing when there is no configuration yet. @throws StackEngineError also for a wrong passphrase */
  read(): Promise<StackConfigurationEntries>;
  /**
   * Sets values beside those that are there: all of them or none. Makes the stack where the engine knows none.
   * Comments stay.
   * @param progress told before each step what is being done; what it throws ends the writing, and nothing is written
   */
  write(changes: readonly ConfigurationChange[], progress: (line: string) => void): Promise<void>;
}

/** What a module named by TRADING_ENGINE exports beside its engine, where it lets a configuration be set up. */
export interface StackConfigurationModule {
  openStackConfiguration(args: StackEngineArguments): Promise<StackConfigurationStore>;
}
