/** The services of the path as processes of their own, each started by its entry point, as its pod would. */
import type { LabNear } from "../lab/venues/near/index.ts";
import { projectDirectory } from "../lab/directories.ts";
import type { LabProcess } from "../lab/processes.ts";
import type { NearTap } from "./near-tap.ts";
import { MeasurementError } from "./process-output.ts";
import { businessDate, type BenchWorld } from "./world.ts";

/** In the order of the data's flow. */
export const pathServices = [
  "ingest-near-intents",
  "normalize-near-intents",
  "strategy-dummy",
  "executor-near-intents",
] as const;

/** Longest that a service may take to become ready. */
const readyDeadlineMs = 60_000;

/** Arguments of {@link startServices}. */
export interface ServicesArguments {
  world: BenchWorld;
  near: LabNear;
  tap: NearTap;
  /** Percentage of the quotes that the strategy answers. */
  percent: number;
  /** Tells the CPU profiles of several runs apart. */
  label: string;
}

/** Starts the services, last in the flow first, so that nothing waits for them. @throws MeasurementError */
export async function startServices(args: ServicesArguments): Promise<LabProcess[]> {
  const { world, near, tap } = args;
  const common = {
    PATH: process.env["PATH"],
    HTTP_PORT: "0",
    STACK: "dev",
    CLUSTER_ID: "bench",
    BUSINESS_DATE: businessDate,
    KAFKA_BROKERS: world.kafka.brokers.join(","),
    NEAR_RELAY_TOKEN: near.token,
    NEAR_RELAY_RPC_URL: tap.rpc,
    NEAR_SIGNER_ID: near.signerId,
    NEAR_PRIVATE_KEY: near.privateKey,
    NEAR_SALT: near.salt,
    // The relay settles in two milliseconds and tells nobody: a longer pause would be all that is measured of a result.
    NEAR_SETTLEMENT_POLL_MS: "4",
    DUMMY_PERCENT: String(args.percent),
    // What is measured is what the executor can do, not what it is allowed to.
    RISK_MAX_ORDERS_PER_MINUTE: "1000000",
  };
  const starting = [...pathServices].reverse().map(async (name) => {
    const started = await world.registry.start(
      name,
      process.execPath,
      [...world.profiling(`${name}-${args.label}`), "--import", "tsx", `services/apps/${name}.ts`],
      {
        cwd: projectDirectory,
        // Quotes come straight from the relay; only what the executor says and hears passes the tap.
        env: {
          ...common,
          SERVICE_NAME: name,
          NEAR_RELAY_WEBSOCKET_URL: name === "executor-near-intents" ? tap.ws : near.ws,
        },
        stdio: ["ignore", "pipe", "pipe"],
      },
    );
    await whenReady(started, world.signal);
    return started;
  });
  return (await Promise.all(starting)).reverse();
}

/** Waits for the service's own word that it is ready. */
async function whenReady(service: LabProcess, signal: AbortSignal): Promise<void> {
  let log = "";
  const late = AbortSignal.any([signal, AbortSignal.timeout(readyDeadlineMs)]);
  await new Promise<void>((resolve, reject) => {
    const fail = (what: string) =>
      reject(new MeasurementError(`${service.name} ${what}. Its last words:\n${log.slice(-4_000)}`));
    const listen = (chunk: Buffer) => {
      log = (log + chunk.toString("utf8")).slice(-20_000);
      if (log.includes('"msg":"ready"')) resolve();
    };
    service.child.stdout?.on("data", listen);
    service.child.stderr?.on("data", listen);
    late.addEventListener("abort", () => fail(`was not ready in ${readyDeadlineMs / 1_000} s`), {
      once: true,
    });
    void service.exited.then((code) => fail(`ended with ${String(code)}`));
  });
}
