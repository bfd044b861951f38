/**
 * The kill switch: a message on the control topic that makes executors deny every command (reason `kill_switch`), for
 * one venue or for all, until it is released. Being on a topic, it holds over restarts for as long as the cluster lives.
 */
import { parseArgs } from "node:util";
import { readConfig, serviceVariables } from "../core/config.ts";
import { Health } from "../core/health.ts";
import { createLogger } from "../core/log.ts";
import { createMetrics } from "../core/metrics.ts";
import { toInstant } from "../core/time.ts";
import { controlRecord, type KillSwitchMessage } from "./control.ts";
import { connectKafka } from "./kafka.ts";
import { startProducer } from "./producer.ts";

/** The scope that means every venue. */
export const everyVenue = "*";

/**
 * What the messages so far amount to. Each scope is switched by itself: a venue is stopped while its own switch or
 * the one for all is engaged. Releasing `*` releases every scope, so that one command gets out of any state.
 */
export class KillSwitch {
  readonly #engaged = new Map<string, KillSwitchMessage>();

  /** Takes one message in; they must come in the topic's order. */
  apply(message: KillSwitchMessage): void {
    if (message.state === "engaged") this.#engaged.set(message.scope, message);
    else if (message.scope === everyVenue) this.#engaged.clear();
    else this.#engaged.delete(message.scope);
  }

  /** Every message that stops something now, in the order in which they came. */
  get engaged(): KillSwitchMessage[] {
    return [...this.#engaged.values()];
  }

  /** The message that stops a venue; undefined when trading is allowed. */
  engagedFor(venue: string): KillSwitchMessage | undefined {
    return this.#engaged.get(everyVenue) ?? this.#engaged.get(venue);
  }
}

/** What a person wants the kill switch to do. */
export type KillSwitchOrder = Omit<KillSwitchMessage, "type" | "at">;

/** The command line is wrong; `message` names every mistake and shows how it goes. */
export class KillSwitchUsageError extends Error {
  override readonly name = "KillSwitchUsageError";
}

/** How the command is called. */
export const killSwitchUsage = `Stops trading at once, or allows it again.

  node --import tsx services/apps/kill-switch.ts engage|release [--venue V] --reason TEXT [--by NAME]

  --venue V      the venue whose executors are meant, as in SERVICE_NAME executor-<venue>; default: all (*).
                 Releasing all also releases what was engaged for one venue.
  --reason TEXT  why; it stands in every denial and in the archive. At most 1,000 characters.
  --by NAME      who says so; default: USER, else SERVICE_NAME.

It reads the environment of a service (KAFKA_BROKERS, SERVICE_NAME, STACK, CLUSTER_ID, BUSINESS_DATE), so it runs in
any service's pod. Exit code 0: all in-sync brokers have it; 1: not published; 2: wrong usage or environment.
`;

/**
 * Reads the command line.
 * @param args without node and script.
 * @param user who says so when `--by` is absent.
 * @throws KillSwitchUsageError with all mistakes.
 */
export function parseKillSwitch(args: readonly string[], user: string): KillSwitchOrder | "help" {
  const { values, positionals, tokens } = parseArgs({
    args: [...args],
    options: {
      venue: { type: "string" },
      reason: { type: "string" },
      by: { type: "string" },
      help: { type: "boolean", short: "h" },
    },
    allowPositionals: true,
    strict: false,
    tokens: true,
  });
  if (values.help === true) return "help";
  const mistakes: string[] = [];
  for (const token of tokens) {
    if (token.kind !== "option") continue;
    if (!["venue", "reason", "by"].includes(token.name)) mistakes.push(`${token.rawName}: no such option`);
    else if (token.value === undefined || token.value === "")
      mistakes.push(`${token.rawName}: needs a value`);
  }
  const [word, ...rest] = positionals;
  const state = word === "engage" ? "engaged" : word === "release" ? "released" : undefined;
  if (state === undefined)
    mistakes.push(`found ${word === undefined ? "no command" : `"${word}"`}, expected engage or release`);
  if (rest.length > 0)
    mistakes.push(`found ${rest.map((each) => `"${each}"`).join(" ")}, expected nothing more`);
  const { venue = everyVenue, reason, by = user } = values as Partial<Record<string, string>>;
  if (reason === undefined) mistakes.push("--reason: is missing; say why");
  else if (reason.length > 1_000)
    mistakes.push(`--reason: has ${reason.length} characters, expected at most 1000`);
  if (mistakes.length > 0 || state === undefined || reason === undefined) {
    throw new KillSwitchUsageError(
      `${mistakes.map((mistake) => `  - ${mistake}`).join("\n")}\n\n${killSwitchUsage}`,
    );
  }
  return { state, scope: venue, reason, by };
}

/** Longest time for the brokers to take the message. A person waits for the answer and must know. */
const publishDeadlineMs = 30_000;

/** The message is not on the control topic for certain; `message` says what to do. */
export class KillSwitchError extends Error {
  override readonly name = "KillSwitchError";
}

/**
 * Publishes an order from a process of its own; resolves when all in-sync brokers have it.
 * @param environment as a service's.
 * @throws ConfigError for a wrong environment; KillSwitchError when the brokers have not taken it within 30 s.
 */
export async function sendKillSwitch(
  order: KillSwitchOrder,
  environment: Record<string, string | undefined> = process.env,
): Promise<void> {
  const settings = readConfig(serviceVariables, environment);
  const { SERVICE_NAME: service, LOG_LEVEL: level, KAFKA_BROKERS: brokers } = settings;
  const logger = createLogger({ service, level });
  const message: KillSwitchMessage = { type: "kill_switch", ...order, at: toInstant(Date.now()) };
  const late = AbortSignal.timeout(publishDeadlineMs);
  const stops: (() => Promise<void> | void)[] = [];
  const publish = async (): Promise<void> => {
    const producer = await startProducer(connectKafka({ brokers, clientId: service, logger }), {
      metrics: createMetrics(service),
      logger,
      health: new Health(),
      fatal: (error) => logger.error({ err: error }, "the producer failed"),
      onStop: (_name, step) => stops.push(step),
    });
    await producer.send(controlRecord(message, service));
    for (const stop of stops) await stop();
  };
  await Promise.race([
    publish(),
    new Promise<never>((_resolve, reject) => {
      late.addEventListener("abort", () =>
        reject(new Error(`no answer within ${publishDeadlineMs / 1_000} s`)),
      );
    }),
  ]).catch((error: unknown) => {
    throw new KillSwitchError(
      `The kill switch may not be ${order.state}: ${(error as Error).message}. Look at the brokers ${brokers.join(",")} and ` +
        "run the command again; to stop trading without Kafka, scale the executors to 0.",
      { cause: error },
    );
  });
  logger.warn(message, `kill switch ${order.state}`);
}
