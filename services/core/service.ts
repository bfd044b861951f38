/**
 * The life cycle that all services share: read the environment, serve health and metrics over HTTP, start,
 * run until SIGTERM or a fatal error, stop in reverse order of what was started, exit.
 */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { z } from "zod";
import { ConfigError, readConfig, serviceVariables, type ServiceSettings } from "./config.ts";
import { Health } from "./health.ts";
import { createLogger, type Logger, withoutSecrets } from "./log.ts";
import { createMetrics, type Metrics } from "./metrics.ts";

/** Longest time for an orderly stop, in milliseconds; below the pod's grace period of 30 s. */
const stopDeadlineMs = 25_000;

/** What a running service works with. */
export interface ServiceContext {
  readonly settings: ServiceSettings;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly health: Health;
  /** Aborted when the service is to stop. */
  readonly signal: AbortSignal;
  /** Registers a step of the orderly stop. Steps run one after the other, last registered first. */
  onStop(name: string, step: () => Promise<void> | void): void;
  /** Reports an error the service cannot go on with: it stops and exits with code 1. */
  fatal(error: unknown): void;
}

/** A service: its own variables, and what it does once they are known. */
export interface ServiceDefinition<Shape extends z.ZodRawShape> {
  /** Variables in addition to the common ones. */
  variables: Shape;
  /** Names of variables whose values must never be logged. */
  secrets?: readonly (keyof Shape & string)[];
  /** Starts the work and resolves when the service is ready. Rejecting is fatal. */
  start(context: ServiceContext, config: z.output<z.ZodObject<Shape>>): Promise<void>;
}

/** How {@link startService} differs from a process of its own; for tests. */
export interface StartOptions {
  environment?: Record<string, string | undefined>;
  logger?: Logger;
}

/** A started service. */
export interface RunningService {
  /** Port that /healthz, /readyz and /metrics answer on. */
  readonly port: number;
  readonly context: ServiceContext;
  /** Stops in order. */
  stop(): Promise<void>;
  /** Resolves when stopped, with the error if that was the reason. */
  readonly stopped: Promise<unknown>;
}

/**
 * Starts a service in this process without touching signals or the exit code.
 * @throws ConfigError for a wrong environment; whatever `definition.start` throws, after stopping what had started.
 */
export async function startService<Shape extends z.ZodRawShape>(
  definition: ServiceDefinition<Shape>,
  options: StartOptions = {},
): Promise<RunningService> {
  const environment = options.environment ?? process.env;
  // One parse for both parts, so that all mistakes come together.
  const all = readConfig({ ...serviceVariables, ...definition.variables }, environment);
  const settings = all as unknown as ServiceSettings;
  const config = all as unknown as z.output<z.ZodObject<Shape>>;
  const logger =
    options.logger ??
    createLogger({
      service: settings.SERVICE_NAME,
      level: settings.LOG_LEVEL,
      secrets: (definition.secrets ?? []).map((name) => environment[name] ?? ""),
    });
  const abort = new AbortController();
  const steps: { name: string; step: () => Promise<void> | void }[] = [];
  let finish: (error: unknown) => void = () => undefined;
  const stopped = new Promise<unknown>((resolve) => {
    finish = resolve;
  });
  let stopping: Promise<void> | undefined;

  const stop = (error?: unknown): Promise<void> => {
    stopping ??= (async () => {
      context.health.setReady(false);
      abort.abort();
      for (const { name, step } of steps.reverse()) {
        try {
          await step();
        } catch (failure) {
          logger.error({ err: failure, step: name }, "a step of the stop failed");
        }
      }
      finish(error);
    })();
    return stopping;
  };

  const context: ServiceContext = {
    settings,
    logger,
    metrics: createMetrics(settings.SERVICE_NAME),
    health: new Health(),
    signal: abort.signal,
    onStop: (name, step) => steps.push({ name, step }),
    fatal: (error) => {
      if (stopping !== undefined) return;
      logger.fatal({ err: error }, "fatal error, the service stops");
      void stop(error ?? new Error("unknown fatal error"));
    },
  };

  const server = await serveHttp(context);
  context.onStop("http", () => closeServer(server));
  try {
    await definition.start(context, config);
  } catch (error) {
    await stop(error);
    throw error;
  }
  // It may have met a fatal error while it was starting.
  if (abort.signal.aborted) {
    const error = await stopped;
    throw error instanceof Error ? error : new Error(String(error));
  }
  context.health.setReady(true);
  const { port } = server.address() as AddressInfo;
  logger.info({ port }, "ready");
  return { port, context, stop: () => stop(), stopped };
}

/**
 * Runs a service as the whole of this process: SIGTERM and SIGINT stop it in order (exit code 0), a fatal
 * error stops it and exits with 1, a wrong environment exits with 2.
 */
export async function runService<Shape extends z.ZodRawShape>(
  definition: ServiceDefinition<Shape>,
): Promise<void> {
  let running: RunningService | undefined;
  const stopSignal = (signal: NodeJS.Signals): void => {
    running?.context.logger.info({ signal }, "stopping");
    // A stop that hangs must not outlive the pod's grace period.
    setTimeout(() => process.exit(1), stopDeadlineMs).unref();
    if (running === undefined) process.exit(0);
    void running.stop();
  };
  process.once("SIGTERM", stopSignal);
  process.once("SIGINT", stopSignal);
  try {
    running = await startService(definition);
  } catch (error) {
    if (error instanceof ConfigError) {
      process.stderr.write(`${error.message}\n`);
      process.exit(2);
    }
    const reason = error instanceof Error ? (error.stack ?? error.message) : String(error);
    const secrets = (definition.secrets ?? []).map((name) => process.env[name] ?? "");
    process.stderr.write(`The service could not start: ${withoutSecrets(reason, secrets)}\n`);
    process.exit(1);
  }
  // What nobody caught is a bug: stop in order, so that what was acknowledged stays consistent, then exit 1.
  process.on("uncaughtException", (error) => running.context.fatal(error));
  process.on("unhandledRejection", (error) => running.context.fatal(error));
  const error = await Promise.race([
    running.stopped,
    // A fatal error gives the stop no signal handler's deadline, so it has one of its own.
    new Promise<unknown>((resolve) => {
      running.context.signal.addEventListener("abort", () =>
        setTimeout(() => resolve(new Error("the stop took too long")), stopDeadlineMs).unref(),
      );
    }),
  ]);
  running.context.logger.info("stopped");
  process.exit(error === undefined ? 0 : 1);
}

function serveHttp(context: ServiceContext): Promise<Server> {
  const server = createServer((request, response) => {
    const reply = (status: number, body: string, type = "text/plain; charset=utf-8"): void => {
      response.writeHead(status, { "content-type": type }).end(body);
    };
    switch (request.url?.split("?")[0]) {
      case "/healthz": {
        const late = context.health.late();
        return reply(late.length === 0 ? 200 : 503, late.length === 0 ? "ok\n" : `${late.join("\n")}\n`);
      }
      case "/readyz":
        return reply(context.health.ready ? 200 : 503, context.health.ready ? "ready\n" : "not ready\n");
      case "/metrics":
        context.metrics.registry.metrics().then(
          (body) => reply(200, body, context.metrics.registry.contentType),
          (error: unknown) => reply(500, `${String(error)}\n`),
        );
        return;
      default:
        return reply(404, "try /healthz, /readyz or /metrics\n");
    }
  });
  const port = context.settings.HTTP_PORT;
  return new Promise((resolve, reject) => {
    server.once("error", (error) =>
      reject(new Error(`cannot listen on HTTP_PORT ${port}: ${error.message}. Set another port.`)),
    );
    server.listen(port, () => resolve(server));
  });
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
