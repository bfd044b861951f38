/** The state of one Hetzner project, and the questions that several resources ask of it. */
import { formatAddress } from "../addresses.ts";
import type { MachineWorld } from "../boot/machine.ts";
import { Changes } from "../changes.ts";
import type { Latency } from "../durations.ts";
import { ApiError } from "../errors.ts";
import { parseLabelSelector } from "../labels.ts";
import { ActionLog, type ResourceKind } from "./actions.ts";
import type {
  FirewallRecord,
  NetworkRecord,
  PlacementGroupRecord,
  PrimaryIpRecord,
  ServerRecord,
  SshKeyRecord,
} from "./records.ts";
import { Table } from "./table.ts";

/** What the account is limited to. No endpoint shows it, as in the real API. */
export interface ProjectLimits {
  /** Servers at most; a new account's cap can be as low as 5. */
  servers: number;
}

export interface ProjectArguments {
  latency: Latency;
  sshPort: number;
  limits: ProjectLimits;
}

export class Project {
  readonly changes = new Changes();
  readonly latency: Latency;
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
    this.latency = args.latency;
    this.limits = args.limits;
    this.actions = new ActionLog(this.nextId, args.latency, this.changes);
    this.world = {
      latency: args.latency,
      changes: this.changes,
      sshPort: args.sshPort,
      machines: () => this.servers.all().map(({ machine }) => machine),
    };
  }

  readonly nextId = (): number => (this.#lastId += 1);

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
