/** What opening and closing a cluster work with, made from the stack's own configuration and the environment. */
import { ArchiveStore } from "../../services/archive/store.ts";
import { parseStackConfig, type StackConfig, StackConfigError } from "../../stacks/config.ts";
import { openStackEngine } from "../engine/choose.ts";
import { runIdentity } from "../engine/run-identity.ts";
import { type StackEngine, StackUnavailableError } from "../engine/stack-engine.ts";
import { HetznerClient, type HetznerPatience } from "../hetzner/client.ts";
import { UsageError } from "../run.ts";
import type { GateSettings } from "./release.ts";
import { openTurnBucket, type TurnSettings } from "./turn.ts";

/** Where people see what goes on. */
export interface Reporter {
  /** Shown at once. */
  note(line: string): void;
  /** Shown now and then while the work takes long. */
  progress(line: string): void;
}

/** See the module's description. Close it when done. */
export interface ClusterParts {
  stack: string;
  config: StackConfig;
  engine: StackEngine;
  client: HetznerClient;
  archiveStore: ArchiveStore;
  gate: GateSettings;
  turn: TurnSettings;
  reporter: Reporter;
  signal: AbortSignal;
  /** The present moment. */
  now: () => Date;
  close(): void;
}

/** Arguments of {@link openParts}. */
export interface PartsArguments {
  stack: string;
  /** Folder with `Pulumi.yaml`. */
  projectDirectory: string;
  environment: Readonly<Record<string, string | undefined>>;
  reporter: Reporter;
  signal: AbortSignal;
  /** Default: the one that `openStackEngine` chooses. */
  engine?: StackEngine;
  /** What differs from the Hetzner client's patience; tests do not wait as long. */
  patience?: Partial<HetznerPatience>;
  /** How a turn is taken; a rehearsal that kills runs does not wait as long for their leases. */
  turn?: Pick<TurnSettings, "leaseMs" | "waitMs">;
  /** The present moment; a rehearsal of many days brings its own. Default: the machine's clock. */
  now?: () => Date;
}

const hetznerEndpoint = "https://api.hetzner.cloud/v1";
const gateTimeoutSeconds = 900;
/** Shorter than a service's patience: somebody waits. */
const storeLimits = { requestTimeoutMs: 30_000, attempts: 3 };

/**
 * Opens everything; nothing is changed yet.
 * @throws UsageError with every mistake of the configuration or the environment, or without an engine; StackEngineError
 */
export async function openParts(args: PartsArguments): Promise<ClusterParts> {
  const { stack, environment, reporter, signal } = args;
  const gate = gateSettings(environment);
  const engine = args.engine ?? (await openEngine(args));
  reporter.progress(`stack ${stack}, run by: ${engine.description}`);
  const config = await readConfig(engine);
  const { secrets, archive, hcloudEndpoint = hetznerEndpoint } = config;
  const client = new HetznerClient({
    endpoint: hcloudEndpoint,
    token: secrets.hcloudToken,
    signal,
    patience: args.patience,
    report: (line) => reporter.progress(line),
  });
  const store = {
    ...archive,
    accessKeyId: secrets.archiveAccessKeyId,
    secretAccessKey: secrets.archiveSecretAccessKey,
    ...storeLimits,
  };
  const archiveStore = new ArchiveStore(store);
  return {
    stack,
    config,
    engine,
    client,
    archiveStore,
    gate,
    turn: {
      open: () => openTurnBucket(store),
      holder: runIdentity(environment),
      ...args.turn,
    },
    reporter,
    signal,
    now: args.now ?? (() => new Date()),
    close: () => archiveStore.close(),
  };
}

/** Without an engine nothing is begun: what its user set up is wrong. */
async function openEngine(args: PartsArguments): Promise<StackEngine> {
  try {
    return await openStackEngine({ ...args, note: (line) => args.reporter.note(line) });
  } catch (error) {
    if (error instanceof StackUnavailableError) throw new UsageError(error.message, { cause: error });
    throw error;
  }
}

async function readConfig(engine: StackEngine): Promise<StackConfig> {
  const entries = await engine.config();
  try {
    return parseStackConfig(entries);
  } catch (error) {
    if (error instanceof StackConfigError) throw new UsageError(error.message, { cause: error });
    throw error;
  }
}

/**
 * The export gate's own variables (services/archive/gate.ts): they mean the same here.
 * @throws UsageError with every mistake
 */
export function gateSettings(environment: PartsArguments["environment"]): GateSettings {
  const { GATE_TIMEOUT_SECONDS: seconds = "", GATE_VERIFY: verify = "" } = environment;
  const mistakes: string[] = [];
  if (seconds !== "" && !/^[1-9]\d{0,4}$/.test(seconds)) {
    mistakes.push(
      `  GATE_TIMEOUT_SECONDS: is ${JSON.stringify(seconds)}, expected a whole number of seconds from 1`,
    );
  }
  if (!["", "fast", "deep"].includes(verify)) {
    mistakes.push(`  GATE_VERIFY: is ${JSON.stringify(verify)}, expected fast or deep`);
  }
  if (mistakes.length > 0) throw new UsageError(`The environment is wrong:\n${mistakes.join("\n")}`);
  return {
    timeoutMs: (seconds === "" ? gateTimeoutSeconds : Number(seconds)) * 1_000,
    verify: verify === "deep" ? "deep" : "fast",
    allowDataLoss: environment["TRADING_ALLOW_DATA_LOSS"],
  };
}
