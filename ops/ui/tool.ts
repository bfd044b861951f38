/** A program of the user's machine that serves a page on a port of this machine until it is ended. */
import { spawn } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { connect, createServer } from "node:net";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { UsageError } from "../run.ts";

/** Where pages are served: nobody else is to see them. */
export const loopback = "127.0.0.1";

/** The program ended by itself, or never served. */
export class ToolError extends Error {
  override readonly name = "ToolError";
}

/** Arguments of {@link serveWith}. */
export interface ToolArguments {
  /** Name of the program on PATH. */
  name: string;
  /** Where to get it, for the message when it is missing. */
  source: string;
  args: readonly string[];
  environment: NodeJS.ProcessEnv;
  port: number;
  /** Called once the port answers. */
  onReady: () => void;
  /** Ends the program. */
  signal: AbortSignal;
}

const pollMs = 100;
/** How long it may take until the port answers. */
const readyWithinMs = 60_000;
/** A program that was asked to end and does not is killed then. */
const killAfterMs = 5_000;

/** @throws UsageError that says where the program is to be had */
export function demandOnPath(name: string, source: string, searched: string): void {
  for (const folder of searched.split(path.delimiter).filter(Boolean)) {
    try {
      accessSync(path.join(folder, name), constants.X_OK);
      return;
    } catch {
      // Perhaps in the next one.
    }
  }
  throw new UsageError(`There is no \`${name}\` on PATH. ${source}`);
}

/** @throws UsageError when something listens there: it would be taken for the page */
export function demandFreePort(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", (error: NodeJS.ErrnoException) =>
      reject(
        new UsageError(
          `Port ${port} of this machine cannot be had (${error.code}). Choose another with --port.`,
          {
            cause: error,
          },
        ),
      ),
    );
    server.listen(port, loopback, () => server.close(() => resolve()));
  });
}

/**
 * Starts the program, tells when its page is there, and waits until the signal has ended it.
 * @throws UsageError as above; ToolError when the program ends by itself or the page does not come
 */
export async function serveWith(args: ToolArguments): Promise<void> {
  const { name, signal, port } = args;
  demandOnPath(name, args.source, args.environment["PATH"] ?? "");
  await demandFreePort(port);
  signal.throwIfAborted();
  // What it says is for people: standard output is the command's own.
  const child = spawn(name, args.args, { stdio: ["ignore", 2, 2], env: args.environment });
  let ended = false;
  const exit = new Promise<string>((resolve) => {
    child.on("error", (error) => resolve(error.message));
    child.on("exit", (code, by) => resolve(by === null ? `exit code ${code}` : by));
  }).finally(() => (ended = true));
  const killNow = (): void => void child.kill("SIGKILL");
  process.on("exit", killNow);
  let killer: NodeJS.Timeout | undefined;
  const end = (): void => {
    child.kill("SIGTERM");
    killer ??= setTimeout(killNow, killAfterMs);
  };
  signal.addEventListener("abort", end, { once: true });
  try {
    const deadline = performance.now() + readyWithinMs;
    while (!ended && !signal.aborted && !(await answers(port))) {
      if (performance.now() > deadline) {
        throw new ToolError(
          `\`${name}\` has not served on ${loopback}:${port} within ${readyWithinMs / 1_000} s. Is this machine among ` +
            "trading:adminCidrs? Otherwise run it within `trading admit -- …`.",
        );
      }
      await delay(pollMs);
    }
    if (!ended && !signal.aborted) args.onReady();
    const how = await exit;
    if (!signal.aborted)
      throw new ToolError(`\`${name}\` ended by itself (${how}); what it said stands above.`);
  } finally {
    signal.removeEventListener("abort", end);
    if (!ended) {
      end();
      await exit;
    }
    clearTimeout(killer);
    process.off("exit", killNow);
  }
}

/** Whether somebody listens. */
function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: loopback, port });
    const done = (result: boolean): void => {
      socket.destroy();
      resolve(result);
    };
    socket.once("connect", () => done(true)).once("error", () => done(false));
  });
}
