/** `command.remote.Command`: a command over SSH for create, update and delete. */
import ssh2, { type Client, type ConnectConfig } from "ssh2";
import { z } from "zod";
import { messageOf, ProviderError } from "../errors.ts";
import type { PropertyMap } from "../properties.ts";
import { numeric, type OperationContext } from "../provider.ts";
import {
  commandEnvironment,
  type CommandOutput,
  commandResource,
  commonInputs,
  isLogged,
  lastLines,
  OutputCollector,
} from "./local-command.ts";

const connectionSchema = z.strictObject({
  host: z.string().min(1),
  port: numeric.default(22),
  user: z.string().default("root"),
  password: z.string().optional(),
  privateKey: z.string().optional(),
  privateKeyPassword: z.string().optional(),
  /** A line of `authorized_keys` form, or of `known_hosts` without the host. Anything is accepted when absent. */
  hostKey: z.string().optional(),
  /** Refused connections until it is an error; -1 never. */
  dialErrorLimit: numeric.default(10),
  /** Seconds that one attempt may take. */
  perDialTimeout: numeric.default(15),
});
type Connection = z.infer<typeof connectionSchema>;

const schema = z.strictObject({ ...commonInputs, connection: connectionSchema });

/** As the real provider: the time between two attempts grows from 100 ms by half, up to 15 s. */
const firstPauseMs = 100;
const pauseGrowth = 1.5;
const longestPauseMs = 15_000;

/** The raw public key of an OpenSSH line. */
function publicKeyBytes(line: string): Buffer {
  const parsed = ssh2.utils.parseKey(line.trim());
  if (parsed instanceof Error) {
    throw new ProviderError("host-key", `connection.hostKey is not an OpenSSH public key: ${parsed.message}`);
  }
  return parsed.getPublicSSH();
}

/** The host answered with another key than the pinned one: no further attempt. */
class HostKeyMismatchError extends ProviderError {}
/** The host refused who we are. Tried again like any other refusal: a booting host learns its keys late. */
class AuthenticationError extends ProviderError {}

function dial(connection: Connection, signal: AbortSignal): Promise<Client> {
  const { host, port, user, password, privateKey, privateKeyPassword, hostKey, perDialTimeout } = connection;
  const where = `${user}@${host}:${port}`;
  const expected = hostKey === undefined ? undefined : publicKeyBytes(hostKey);
  let mismatch = false;
  const config: ConnectConfig = {
    host,
    port,
    username: user,
    readyTimeout: perDialTimeout * 1_000,
    ...(password === undefined ? {} : { password }),
    ...(privateKey === undefined ? {} : { privateKey }),
    ...(privateKeyPassword === undefined ? {} : { passphrase: privateKeyPassword }),
    hostVerifier: (key: Buffer) => {
      mismatch = expected !== undefined && !key.equals(expected);
      return !mismatch;
    },
  };
  if (expected !== undefined) {
    // Ask for the kind of key that is pinned: a host may have several.
    const algorithm = expected.subarray(4, 4 + expected.readUInt32BE(0)).toString();
    const wanted = algorithm === "ssh-rsa" ? ["rsa-sha2-512", "rsa-sha2-256", "ssh-rsa"] : [algorithm];
    config.algorithms = { serverHostKey: wanted as never };
  }
  return new Promise((resolve, reject) => {
    const client = new ssh2.Client();
    const abort = (): void => {
      client.end();
      reject(signal.reason as Error);
    };
    signal.addEventListener("abort", abort, { once: true });
    client.once("ready", () => {
      signal.removeEventListener("abort", abort);
      resolve(client);
    });
    client.on("error", (error: Error & { level?: string }) => {
      signal.removeEventListener("abort", abort);
      if (mismatch) {
        reject(
          new HostKeyMismatchError("host-key", `${where} does not have the pinned host key; not connected`),
        );
      } else if (error.level === "client-authentication") {
        reject(new AuthenticationError("ssh-authentication", `${where} refused the login: ${error.message}`));
      } else reject(error);
    });
    try {
      client.connect(config);
      // Otherwise each small packet of the handshake waits for the acknowledgement of the one before.
      client.setNoDelay(true);
    } catch (error) {
      // For example a private key that cannot be read.
      reject(new AuthenticationError("ssh-authentication", `${where}: ${messageOf(error)}`));
    }
  });
}

async function connect(connection: Connection, context: OperationContext): Promise<Client> {
  const { host, port, user, dialErrorLimit } = connection;
  let pause = firstPauseMs;
  for (let attempt = 1; ; attempt += 1) {
    context.signal.throwIfAborted();
    try {
      return await dial(connection, context.signal);
    } catch (error) {
      context.signal.throwIfAborted();
      if (error instanceof HostKeyMismatchError) throw error;
      if (dialErrorLimit > -1 && attempt > dialErrorLimit) {
        if (error instanceof ProviderError) throw error;
        throw new ProviderError(
          "ssh-unreachable",
          `cannot connect to ${user}@${host}:${port} after ${attempt} attempts: ${messageOf(error)}`,
        );
      }
    }
    await context.clock.pause(pause, context.signal);
    pause = Math.min(pause * pauseGrowth, longestPauseMs);
  }
}

/**
 * Runs one command. Variables travel as "env" requests, which a server takes only where its AcceptEnv allows them,
 * as with the real provider.
 */
function execute(
  client: Client,
  command: string,
  inputs: PropertyMap,
  previous: Partial<CommandOutput>,
  context: OperationContext,
): Promise<CommandOutput> {
  const collected = new OutputCollector((stream, line) => {
    if (isLogged(inputs, stream)) context.log("info", line);
  });
  return new Promise((resolve, reject) => {
    const abort = (): void => {
      client.end();
      reject(context.signal.reason as Error);
    };
    context.signal.addEventListener("abort", abort, { once: true });
    client.once("close", () => {
      reject(
        new ProviderError(
          "ssh-closed",
          `the connection ended while running: ${command}\n${lastLines(collected.both)}`,
        ),
      );
    });
    client.exec(command, { env: commandEnvironment(inputs, previous) }, (error, channel) => {
      if (error !== undefined) {
        reject(error);
        return;
      }
      channel.setEncoding("utf8").on("data", (text: string) => collected.add("stdout", text));
      channel.stderr.setEncoding("utf8").on("data", (text: string) => collected.add("stderr", text));
      channel.once("close", (code: number | null, signal: string | undefined) => {
        context.signal.removeEventListener("abort", abort);
        if (code === 0) {
          resolve(collected.output);
          return;
        }
        const end =
          code === null || code === undefined
            ? `was ended by ${signal ?? "the connection"}`
            : `exited with ${code}`;
        reject(
          new ProviderError(
            "command-failed",
            `the remote command ${end}: ${command}\n${lastLines(collected.both)}`,
          ),
        );
      });
      channel.end(typeof inputs["stdin"] === "string" ? inputs["stdin"] : "");
    });
  });
}

export const remoteCommand = commandResource(schema, async (command, inputs, previous, context) => {
  const connection = connectionSchema.parse(inputs["connection"]);
  const client = await connect(connection, context);
  try {
    return await execute(client, command, inputs, previous, context);
  } finally {
    client.end();
  }
});
