/**
 * The Hetzner Cloud API simulator: real HTTP on loopback, the API's shapes, states, errors, prices and asynchronous
 * actions, and an SSH server for every booted machine. Nothing leaves this machine and nothing bills.
 */
import { randomInt } from "node:crypto";
import { createServer as createListener, type Server as Listener } from "node:net";
import { getRequestListener } from "@hono/node-server";
import { createServer } from "node:http";
import { createApi } from "./api.ts";
import { type Latency, type LatencyModel, latencyModel } from "./durations.ts";
import { HetznerStartError } from "./errors.ts";
import { type ActionView } from "./model/actions.ts";
import { billable, type Billable } from "./model/billing.ts";
import { Project } from "./model/project.ts";
import {
  firewallView,
  type FirewallView,
  networkView,
  type NetworkView,
  placementGroupView,
  type PlacementGroupView,
  primaryIpView,
  type PrimaryIpView,
  serverView,
  type ServerView,
  sshKeyView,
  type SshKeyView,
} from "./model/views.ts";
import { RateLimit, requestsPerHour } from "./rate-limit.ts";

export { HetznerStartError } from "./errors.ts";
export { type Latency, type LatencyModel, latencyModel, type TimedStep } from "./durations.ts";
export type { Billable } from "./model/billing.ts";
export type {
  FirewallView,
  NetworkView,
  PlacementGroupView,
  PrimaryIpView,
  ServerView,
  SshKeyView,
} from "./model/views.ts";

export interface HetznerArguments {
  /** TCP port of the API on 127.0.0.1; default: a free one. */
  port?: number | undefined;
  /** API token of 64 characters; default: a new one. */
  token?: string | undefined;
  /** How long things take: a model by its name, or one of one's own. Default: `fast`. */
  latency?: LatencyModel | Latency | undefined;
  /** TCP port at which SSH answers on every server's public address; default: a free one. */
  sshPort?: number | undefined;
  /** Called with the last state of a server when its delete action has ended. */
  onServerDeleted?: ((server: ServerView) => void) | undefined;
  /** Servers that the account may have; default 20. */
  serverLimit?: number | undefined;
  /** Requests an hour; default 3,600. */
  requestsPerHour?: number | undefined;
}

/** What the project holds, in the API's shapes, for those who judge a day. Reading it counts against no rate limit. */
export interface ProjectReader {
  servers(): ServerView[];
  networks(): NetworkView[];
  firewalls(): FirewallView[];
  sshKeys(): SshKeyView[];
  placementGroups(): PlacementGroupView[];
  primaryIps(): PrimaryIpView[];
  /** Every action there was. */
  actions(): ActionView[];
  /** What bills now; a deleted server bills until its delete action has ended. */
  billable(): Billable[];
}

/** A running simulator. */
export interface Hetzner {
  /** Base URL, `http://127.0.0.1:<port>/v1`. */
  endpoint: string;
  token: string;
  sshPort: number;
  project: ProjectReader;
  /** Ends every socket at once; nothing of the project is kept. */
  close(): Promise<void>;
}

function listen(server: Listener, port: number, host: string, what: string, option: string): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      const reason = error.code === "EADDRINUSE" ? "the port is in use" : error.message;
      reject(
        new HetznerStartError(
          `Hetzner simulator: cannot listen on ${host}:${port} for ${what}: ${reason}. ` +
            `Choose another ${option}, or leave it out for a free one.`,
        ),
      );
    });
    server.listen(port, host, () => {
      const address = server.address();
      resolve(typeof address === "object" && address !== null ? address.port : port);
    });
  });
}

function randomToken(): string {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
  return Array.from({ length: 64 }, () => alphabet[randomInt(alphabet.length)]).join("");
}

function reader(project: Project): ProjectReader {
  return {
    servers: () => project.servers.all().map((server) => serverView(project, server)),
    networks: () => project.networks.all().map((network) => networkView(project, network)),
    firewalls: () => project.firewalls.all().map((firewall) => firewallView(project, firewall)),
    sshKeys: () => project.sshKeys.all().map(sshKeyView),
    placementGroups: () => project.placementGroups.all().map((group) => placementGroupView(project, group)),
    primaryIps: () => project.primaryIps.all().map(primaryIpView),
    actions: () => project.actions.all().map((action) => project.actions.view(action)),
    billable: () => billable(project),
  };
}

/**
 * Starts a simulator with an empty project.
 * @throws HetznerStartError when a port is in use or an option is wrong
 */
export async function startHetzner(args: HetznerArguments = {}): Promise<Hetzner> {
  const token = args.token ?? randomToken();
  if (!/^[A-Za-z0-9]{64}$/.test(token)) {
    throw new HetznerStartError(
      `Hetzner simulator: the token has ${token.length} characters; a token has exactly 64 letters and digits.`,
    );
  }
  // The SSH port is held on an address of its own, so that nobody takes it between two boots.
  const reservation = createListener((socket) => socket.destroy());
  const sshPort = await listen(reservation, args.sshPort ?? 0, "127.127.255.254", "SSH", "sshPort");
  const latency = args.latency ?? "fast";
  const project = new Project({
    latency: typeof latency === "string" ? latencyModel(latency) : latency,
    sshPort,
    limits: { servers: args.serverLimit ?? 20 },
  });
  const api = createApi({
    project,
    token,
    rateLimit: new RateLimit(args.requestsPerHour ?? requestsPerHour),
    onServerDeleted: args.onServerDeleted ?? (() => undefined),
  });
  const answer = getRequestListener(api.fetch);
  const server = createServer((request, response) => void answer(request, response));
  let port: number;
  try {
    port = await listen(server, args.port ?? 0, "127.0.0.1", "the API", "port");
  } catch (error) {
    reservation.close();
    throw error;
  }
  return {
    endpoint: `http://127.0.0.1:${port}/v1`,
    token,
    sshPort,
    project: reader(project),
    close: async () => {
      project.changes.end();
      for (const { machine } of project.servers.all()) machine.powerOff();
      const closed = Promise.all(
        [server, reservation].map((listener) => new Promise((resolve) => listener.close(resolve))),
      );
      server.closeAllConnections();
      await closed;
    },
  };
}
