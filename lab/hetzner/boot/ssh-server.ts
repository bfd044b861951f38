/** The SSH server of one simulated machine. */
import { createServer, type Socket } from "node:net";
import ssh2, { type AuthContext, type Connection, type ParsedKey } from "ssh2";
import type { CommandResult } from "./commands.ts";
import { newKeyPair } from "./key-pair.ts";

const { Server, utils } = ssh2;

export interface SshServerArguments {
  address: string;
  port: number;
  /** Private host key, OpenSSH or PEM. */
  hostKey: string;
  /** The public keys that may log in as `user`, as OpenSSH lines. */
  authorizedKeys: (user: string) => readonly string[];
  /** Whether packets from an address get through to the server: what does not is dropped without an answer. */
  admits: (address: string) => boolean;
  /** Runs one command; the signal comes when the connection ends. */
  execute: (command: string, signal: AbortSignal) => Promise<CommandResult>;
}

export interface SshServer {
  /** Stops listening and breaks every connection at once. */
  close(): void;
}

/**
 * The host key of a server: that of its user data, or a new one.
 * @param given private key from `ssh_keys.ed25519_private`
 */
export function chooseHostKey(given: string | undefined): { hostKey: string; warning?: string } {
  if (given === undefined) return { hostKey: newKeyPair().private };
  const parsed = utils.parseKey(given);
  if (parsed instanceof Error) {
    return {
      hostKey: newKeyPair().private,
      warning: `ed25519_private is not a private key: ${parsed.message}`,
    };
  }
  if (!parsed.isPrivateKey() || parsed.type !== "ssh-ed25519") {
    return {
      hostKey: newKeyPair().private,
      warning: `ed25519_private is not an Ed25519 private key but ${parsed.type}`,
    };
  }
  return { hostKey: given };
}

function isAuthorized(context: AuthContext, authorizedKeys: readonly string[]): boolean {
  if (context.method !== "publickey") return false;
  const parsed: ParsedKey | undefined = authorizedKeys
    .map((line) => utils.parseKey(line))
    .find((key): key is ParsedKey => !(key instanceof Error) && key.getPublicSSH().equals(context.key.data));
  if (parsed === undefined) return false;
  // Without a signature the client only asks whether the key would do.
  if (context.signature === undefined || context.blob === undefined) return true;
  return parsed.verify(context.blob, context.signature, context.hashAlgo) === true;
}

function serveConnection(connection: Connection, args: SshServerArguments): void {
  const ended = new AbortController();
  connection.on("error", () => ended.abort());
  connection.on("close", () => ended.abort());
  connection.on("authentication", (context) => {
    if (isAuthorized(context, args.authorizedKeys(context.username))) context.accept();
    else context.reject(["publickey"]);
  });
  connection.on("ready", () => {
    connection.on("session", (acceptSession) => {
      const session = acceptSession();
      session.on("env", (accept) => accept?.());
      session.on("pty", (accept) => accept?.());
      session.on("exec", (accept, _reject, info) => {
        const channel = accept();
        channel.on("error", () => ended.abort());
        const finish = (result: CommandResult) => {
          if (ended.signal.aborted) return;
          channel.stderr.write(result.stderr);
          channel.write(result.stdout);
          channel.exit(result.exitCode);
          channel.end();
        };
        args.execute(info.command, ended.signal).then(finish, (error: unknown) => {
          const reason = error instanceof Error ? error.message : String(error);
          finish({ exitCode: 255, stdout: "", stderr: `simulated server: ${reason}\n` });
        });
      });
    });
  });
}

/**
 * Starts an SSH server.
 * @throws Error when the address and port cannot be listened to
 */
export async function startSshServer(args: SshServerArguments): Promise<SshServer> {
  const sockets = new Set<Socket>();
  const ssh = new Server({ hostKeys: [args.hostKey] }, (connection) => serveConnection(connection, args));
  const listener = createServer((socket) => {
    // Otherwise each small packet of the handshake waits for the acknowledgement of the one before.
    socket.setNoDelay(true);
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => socket.destroy());
    // The listener of the machine that the lab runs on has accepted already; the client hears nothing more.
    if (args.admits(socket.remoteAddress ?? "")) ssh.injectSocket(socket);
  });
  await new Promise<void>((resolve, reject) => {
    listener.once("error", reject);
    listener.listen(args.port, args.address, () => {
      listener.removeListener("error", reject);
      resolve();
    });
  });
  return {
    close: () => {
      listener.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
