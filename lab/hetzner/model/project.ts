/** The state of one Hetzner project, and the questions that several resources ask of it. */
import { formatAddress } from "../addresses.ts";
import { admitsTcp } from "./firewall-rules.ts";
import type { MachineWorld } from "../boot/machine.ts";
import { type Image, images } from "../catalog/images.ts";
import { Stock } from "../catalog/stock.ts";
import { Changes } from "../changes.ts";
import { SimulatedClock } from "../clock.ts";
import type { Latency } from "../durations.ts";
import { ApiError, notFound } from "../errors.ts";
import { Faults } from "../faults/faults.ts";
import { parseLabelSelector } from "../labels.ts";
import { ActionLog, type ActionResource, type ResourceKind } from "./actions.ts";
import { Ledger } from "./billing.ts";
import type {
  FirewallRecord,
  NetworkRecord,
  PlacementGroupRecord,
  PrimaryIpRecord,
  ServerRecord,
  SshKeyRecord,
} from "./records.ts";
import { Table } from "./table.ts";
import { Timeline } from "./timeline.ts";

/** What the account is limited to. No endpoint shows it, as in the real API. */
export interface ProjectLimits {
  /** Servers at most; a new account's cap can be as low as 5. */
  servers: number;
}

export interface ProjectArguments {
  latency: Latency;
  sshPort: number;
  limits: ProjectLimits;
  /** Default: real time. */
  clock?: SimulatedClock;
  /** Default: none. */
  faults?: Faults;
  /** Default: the catalog's. */
  stock?: Stock;
  /** Whether firewalls filter what reaches SSH. Default: no, they are only recorded. */
  enforceFirewalls?: boolean;
}

export class Project {
  readonly clock: SimulatedClock;
  readonly changes: Changes;
  readonly faults: Faults;
  readonly stock: Stock;
  readonly ledger: Ledger;
  readonly timeline: Timeline;
  readonly latency: Latency;
  readonly #enforceFirewalls: boolean;
  readonly limits: ProjectLimits;
  readonly actions: ActionLog;
  readonly world: MachineWorld;
  readonly servers = new Table<ServerRecord>("server");
  readonly networks = new Table<NetworkRecord>("network");
  readonly firewalls = new Table<FirewallRecord>("firewall");
  readonly sshKeys = new Table<SshKeyRecord>("ssh_key");
  readonly placementGroups = new Table<PlacementGroupRecord>("placement_group");
  readonly primaryIps = new Table<PrimaryIpRecord>("primary_ip");
  /** Servers that the API no longer shows but whose delete action has not ended: they still hold what they use. */
  readonly leaving = new Set<ServerRecord>();
  #lastId = 10_000_000;
  #lastAddress = 0;

  constructor(args: ProjectArguments) {
    const { latency, clock = new SimulatedClock(), faults = new Faults(), stock = new Stock() } = args;
    this.clock = clock;
    this.faults = faults;
    this.stock = stock;
    this.changes = new Changes(clock);
    this.ledger = new Ledger(clock);
    this.timeline = new Timeline(clock);
    this.latency = latency;
    this.#enforceFirewalls = args.enforceFirewalls ?? false;
    this.limits = args.limits;
    const { changes, timeline, nextId } = this;
    const nameOf = (resource: ActionResource) => this.#find(resource)?.name;
    this.actions = new ActionLog({ nextId, latency, changes, clock, faults, timeline, nameOf });
    this.world = {
      latency,
      clock,
      changes,
      faults,
      timeline,
      sshPort: args.sshPort,
      machines: () => this.servers.all().map(({ machine }) => machine),
    };
  }

  readonly nextId = (): number => (this.#lastId += 1);

  /** Moves the time ahead: what is due by then happens now. @throws RangeError when `milliseconds` is negative */
  advance(milliseconds: number): void {
    this.clock.advance(milliseconds);
    this.changes.notify();
  }

  /** A resource of any kind, also a server that is being deleted. */
  #find({ type, id }: ActionResource): { name: string } | undefined {
    switch (type) {
      case "server":
        return this.holders().find((server) => server.id === id);
      case "network":
        return this.networks.find(id);
      case "firewall":
        return this.firewalls.find(id);
      case "ssh_key":
        return this.sshKeys.find(id);
      case "placement_group":
        return this.placementGroups.find(id);
      case "primary_ip":
        return this.primaryIps.find(id);
      case "image":
        return images.find((image: Image) => image.id === id);
    }
  }

  /** Whether the API shows a resource. @throws ApiError `not_found` when it does not */
  checkExists(type: ResourceKind, id: number): void {
    const found = type === "server" ? this.servers.find(id) : this.#find({ type, id });
    if (found === undefined) throw notFound(type, id);
  }

  /** The next public address. Public addresses are loopback here, so that SSH can be answered at them. */
  nextPublicIpv4(): string {
    this.#lastAddress += 1;
    // 127.64.0.0/10 less its last addresses, of which the SSH port's reservation takes one.
    if (this.#lastAddress > 0x3fff00)
      throw new ApiError("resource_unavailable", "no public IPv4 address is left");
    return formatAddress(0x7f400000 + this.#lastAddress);
  }

  /** The next public IPv6 network (documentation range, nothing answers there). */
  nextPublicIpv6(): string {
    this.#lastAddress += 1;
    return `2001:db8:${(this.#lastAddress >>> 16).toString(16)}:${(this.#lastAddress & 0xffff).toString(16)}::/64`;
  }

  /** All servers that hold resources: those that the API shows and those that are being deleted. */
  holders(): ServerRecord[] {
    return [...this.servers.all(), ...this.leaving];
  }

  /** The firewalls of a server, applied directly or by a label selector. */
  firewallsOf(server: ServerRecord): { id: number; status: "pending" | "applied" }[] {
    const direct = [...server.firewalls].map(([id, status]) => ({ id, status }));
    const selected = this.firewalls
      .all()
      .filter((firewall) => !server.firewalls.has(firewall.id) && this.#selects(firewall, server))
      .map(({ id }) => ({ id, status: "applied" as const }));
    return [...direct, ...selected];
  }

  /**
   * Whether the firewalls that are applied to a server let an address through to SSH. Port 22 of the rules is the port at
   * which the lab answers; rules may name either. A server without a firewall is open.
   */
  admitsToSsh(server: ServerRecord, address: string): boolean {
    if (!this.#enforceFirewalls) return true;
    const applied = this.firewallsOf(server).filter(({ status }) => status === "applied");
    const rules = applied.flatMap(({ id }) => this.firewalls.find(id)?.rules ?? []);
    return applied.length === 0 || rules.some((rule) => admitsTcp(rule, address, [22, this.world.sshPort]));
  }

  #selects(firewall: FirewallRecord, server: ServerRecord): boolean {
    return firewall.selectors.some((selector) => parseLabelSelector(selector)(server.labels));
  }

  /** The servers that a selector matches. */
  serversSelectedBy(selector: string): ServerRecord[] {
    const selects = parseLabelSelector(selector);
    return this.servers.all().filter((server) => selects(server.labels));
  }

  /** @throws ApiError `locked` while an action about the resource is running */
  checkUnlocked(type: ResourceKind, id: number): void {
    if (this.actions.running(type, id).length > 0) throw new ApiError("locked", `${type} is locked`);
  }

  /** @throws ApiError `conflict` while a change of the network itself is running */
  checkNetworkIdle(network: NetworkRecord): void {
    const changing = this.actions
      .running("network", network.id)
      .some(({ resources }) => resources.every(({ type }) => type === "network"));
    if (changing) throw new ApiError("conflict", "a change of the network is being performed, try again");
  }
}
