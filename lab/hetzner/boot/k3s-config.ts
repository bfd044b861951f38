/** What a node's files say about k3s: https://docs.k3s.io/cli/server and https://docs.k3s.io/cli/agent */
import { parse } from "yaml";
import type { WrittenFile } from "./cloud-config.ts";

export const scriptDirectory = "/usr/local/lib/trading";
const environmentFile = "/etc/trading/node.env";
const configFile = "/etc/rancher/k3s/config.yaml";

/** The k3s of one node. */
export interface K3sConfig {
  role: "server" | "agent";
  nodeName: string;
  /** The private address the node uses, if it names one. */
  nodeIp: string | undefined;
  /** Agents: where they join, `https://<address>:<port>`. */
  server: string | undefined;
  /** Tokens: an agent's own one, or those that a server takes agents with. */
  tokens: readonly string[];
}

function environment(content: string): Record<string, string> {
  return Object.fromEntries(
    content
      .split("\n")
      .map((line) => /^(?:export )?([A-Z0-9_]+)=(["']?)(.*)\2$/.exec(line.trim()))
      .flatMap((match) => (match === null ? [] : [[match[1] ?? "", match[3] ?? ""]])),
  );
}

function text(value: unknown): string | undefined {
  const one: unknown = Array.isArray(value) ? value[0] : value;
  return typeof one === "string" && one !== "" ? one : undefined;
}

/** The password of a full token `K10<hash>::<user>:<password>`, or the short token itself. */
function tokenPassword(token: string): string {
  return /^K10[0-9a-f]{64}::[^:]+:(.+)$/.exec(token)?.[1] ?? token;
}

/**
 * Reads k3s's configuration from the files that cloud-init wrote.
 * @param hostname node name when the configuration gives none
 * @returns the configuration, or in words what is missing
 */
export function readK3sConfig(files: ReadonlyMap<string, WrittenFile>, hostname: string): K3sConfig | string {
  const file = files.get(configFile);
  if (file === undefined) return `${configFile} is missing`;
  let values: Record<string, unknown>;
  try {
    const parsed: unknown = parse(file.content);
    if (typeof parsed !== "object" || parsed === null) return `${configFile} holds no settings`;
    values = parsed as Record<string, unknown>;
  } catch (error) {
    return `${configFile}: ${error instanceof Error ? error.message : String(error)}`;
  }
  const variables = environment(files.get(environmentFile)?.content ?? "");
  const server = text(values["server"]);
  const role = variables["K3S_COMMAND"] ?? (server === undefined ? "server" : "agent");
  if (role !== "server" && role !== "agent")
    return `${environmentFile}: K3S_COMMAND is '${role}', not server or agent`;
  const token = text(values["token"]) ?? variables["K3S_TOKEN"];
  if (role === "agent" && (server === undefined || token === undefined)) {
    return `${configFile}: an agent needs 'server' and 'token'`;
  }
  const tokens = [token, ...(role === "server" ? [text(values["agent-token"])] : [])];
  return {
    role,
    nodeName: text(values["node-name"]) ?? variables["NODE_NAME"] ?? hostname,
    nodeIp: text(values["node-ip"]) ?? variables["PRIVATE_ADDRESS"],
    server,
    tokens: tokens.filter((one) => one !== undefined).map(tokenPassword),
  };
}
