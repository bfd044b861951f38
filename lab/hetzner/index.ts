/**
 * The Hetzner Cloud API simulator: real HTTP on loopback, the API's shapes, states, errors, prices and asynchronous
 * actions, and an SSH server for every booted machine. Nothing leaves this machine and nothing bills.
 */
import { randomInt } from "node:crypto";
import { createServer as createListener, type Server as Listener } from "node:net";
import { getRequestListener } from "@hono/node-server";
import { createServer, Server as HttpServer } from "node:http";
import type { Hono } from "hono";
import { type ApiAnswer, createApi } from "./api.ts";
import type { MachineWorld } from "./boot/machine.ts";
import { Stock, type StockChanges } from "./catalog/stock.ts";
import { SimulatedClock } from "./clock.ts";
import { createControl } from "./control.ts";
import { type Latency, type LatencyModel, latencyModel } from "./durations.ts";
import { HetznerStartError } from "./errors.ts";
import { Faults, type FaultReport } from "./faults/faults.ts";
import type { FaultPlan } from "./faults/rules.ts";
import { type ActionView } from "./model/actions.ts";
import type { Bill, Billable } from "./model/billing.ts";
import { Project } from "./model/project.ts";
import type { StageSpan } from "./model/timeline.ts";
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
export type { ApiAnswer } from "./api.ts";
export { type StockChanges, StockError } from "./catalog/stock.ts";
export type { Availability } from "./catalog/server-types.ts";
export type { FaultReport } from "./faults/faults.ts";
export {
  type ActionFault,
  type BootFault,
  type FaultPlan,
  FaultPlanError,
  type FaultRule,
  type RequestEffect,
  type RequestFault,
} from "./faults/rules.ts";
export type { Bill, Billable, BillItem } from "./model/billing.ts";
export type { StageSpan } from "./model/timeline.ts";
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
  /** How many times faster than the latency model everything passes, above 0. Default: 1. */
  speed?: number | undefined;
  /** The simulated time at the start. Default: now. */
  startTime?: Date | undefined;
  /** What goes wrong. Default: nothing. */
  faults?: FaultPlan | undefined;
  /** What can be ordered where, as far as it differs from the catalog. */
  stock?: StockChanges | undefined;
  /** TCP port of the lab's control endpoint on 127.0.0.1; default: a free one. */
  controlPort?: number | undefined;
  /** TCP port at which SSH answers on every server's public address; default: a free one. */
  sshPort?: number | undefined;
  /** Called with the last state of a server when its delete action has ended. */
  onServerDeleted?: ((server: ServerView) => void) | undefined;
  /**
   * Whether firewalls filter what reaches SSH; a client may choose its source among 127.0.0.0/8. Default: false, they are
   * recorded and shown only, because a day's own connections come from 127.0.0.1, which no real rule names.
   */
  enforceFirewalls?: boolean | undefined;
  /** Servers that the account may have; default 20. */
  serverLimit?: number | undefined;
  /** Requests an hour; default 3,600. */
  requestsPerHour?: number | undefined;
  /** Called with every answer of the API. @param body its text as it is sent; empty when there is none */
  onAnswer?: ((answer: ApiAnswer, body: string) => void) | undefined;
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
  /** What has billed so far, with what is gone. */
  bill(): Bill;
  /** How long the stages of each resource took. */
  timeline(): StageSpan[];
  /** Every request that was answered. */
  requests(): readonly ApiAnswer[];
}

/** What goes wrong in a running simulator. */
export interface FaultControl {
  /** Adds rules behind those that there are. @returns their ids @throws FaultPlanError when the plan is wrong */
  add(plan: FaultPlan): string[];
  /** Takes a rule away, or all of them. @returns how many */
  remove(id?: string): number;
  /** Every rule, and how often it hit. */
  report(): FaultReport[];
}

/** A running simulator. */
export interface Hetzner {
  /** Base URL, `http://127.0.0.1:<port>/v1`. */
  endpoint: string;
  token: string;
  sshPort: number;
  /** Base URL of the lab's control endpoint, `http://127.0.0.1:<port>/lab`, which is no part of Hetzner's API. */
  control: string;
  project: ProjectReader;
  /** The machines and what they share, for who plays the cluster on them. */
  world: MachineWorld;
  faults: FaultControl;
  clock: {
    /** The simulated time. */
    date(): Date;
    /** The same in ms since the epoch, with fractions. */
    now(): number;
    /** Moves it ahead, by simulated ms: what is due by then happens now. @throws RangeError when negative */
    advance(milliseconds: number): void;
    /** The next moment at which something is due, in ms since the epoch; undefined when nothing waits. */
    nextDue(): number | undefined;
    /** Waits in simulated ms. @returns false when the signal came or the simulator was closed first */
    pause(milliseconds: number, signal?: AbortSignal): Promise<boolean>;
  };
  /** Changes what can be ordered where. @throws StockError when a name is unknown */
  changeStock(changes: StockChanges): void;
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

function reader(project: Project, requests: readonly ApiAnswer[]): ProjectReader {
  return {
    servers: () => project.servers.all().map((server) => serverView(project, server)),
    networks: () => project.networks.all().map((network) => networkView(project, network)),
    firewalls: () => project.firewalls.all().map((firewall) => firewallView(project, firewall)),
    sshKeys: () => project.sshKeys.all().map(sshKeyView),
    placementGroups: () => project.placementGroups.all().map((group) => placementGroupView(project, group)),
    primaryIps: () => project.primaryIps.all().map(primaryIpView),
    actions: () => project.actions.all().map((action) => project.actions.view(action)),
    billable: () => project.ledger.billable(),
    bill: () => project.ledger.bill(),
    timeline: () => project.timeline.spans(),
    requests: () => requests,
  };
}

async function closeAll(listeners: readonly Listener[]): Promise<void> {
  const closed = Promise.all(listeners.map((listener) => new Promise((resolve) => listener.close(resolve))));
  for (const listener of listeners) if (listener instanceof HttpServer) listener.closeAllConnections();
  await closed;
}

/**
 * Starts a simulator with an empty project.
 * @throws HetznerStartError when a port is in use or an option is wrong
 * @throws FaultPlanError, StockError when the faults or the stock are wrong
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
  const listeners: Listener[] = [reservation];
  const serve = (app: Hono, port: number | undefined, what: string, option: string) => {
    const answer = getRequestListener(app.fetch);
    const server = createServer((request, response) => void answer(request, response));
    listeners.push(server);
    return listen(server, port ?? 0, "127.0.0.1", what, option);
  };
  const requests: ApiAnswer[] = [];
  try {
    const project = new Project({
      latency: typeof latency === "string" ? latencyModel(latency) : latency,
      sshPort,
      limits: { servers: args.serverLimit ?? 20 },
      clock: new SimulatedClock({ speed: args.speed, start: args.startTime }),
      faults: new Faults(args.faults),
      stock: new Stock(args.stock),
      enforceFirewalls: args.enforceFirewalls ?? false,
    });
    const api = createApi({
      project,
      token,
      rateLimit: new RateLimit(args.requestsPerHour ?? requestsPerHour, () => project.clock.now()),
      onServerDeleted: args.onServerDeleted ?? (() => undefined),
      onAnswer: (answer, body) => {
        requests.push(answer);
        args.onAnswer?.(answer, body);
      },
    });
    const control = createControl({ project, token, requests: () => requests });
    const port = await serve(api, args.port, "the API", "port");
    const controlPort = await serve(control, args.controlPort, "the lab's control endpoint", "controlPort");
    return {
      endpoint: `http://127.0.0.1:${port}/v1`,
      token,
      sshPort,
      control: `http://127.0.0.1:${controlPort}/lab`,
      project: reader(project, requests),
      faults: project.faults,
      world: project.world,
      clock: {
        date: () => project.clock.date(),
        now: () => project.clock.now(),
        advance: (milliseconds) => project.advance(milliseconds),
        nextDue: () => project.changes.nextDue(),
        pause: (milliseconds, signal) => project.changes.pause(milliseconds, signal),
      },
      changeStock: (changes) => project.stock.change(changes),
      close: async () => {
        project.changes.end();
        for (const { machine } of project.servers.all()) machine.powerOff();
        await closeAll(listeners);
      },
    };
  } catch (error) {
    await closeAll(listeners);
    if (error instanceof RangeError) throw new HetznerStartError(`Hetzner simulator: ${error.message}.`);
    throw error;
  }
}
