/** What the simulator knows of each resource. The views in `model/views.ts` make the API's shapes of it. */
import type { Range } from "../addresses.ts";
import type { Machine } from "../boot/machine.ts";
import type { Image } from "../catalog/images.ts";
import type { Location } from "../catalog/locations.ts";
import type { ServerType } from "../catalog/server-types.ts";
import type { Labels } from "../labels.ts";

export interface NamedRecord {
  readonly id: number;
  name: string;
  labels: Labels;
  readonly created: Date;
}

export interface Subnet {
  readonly range: Range;
  readonly type: "cloud" | "server";
  readonly networkZone: string;
}

export interface NetworkRecord extends NamedRecord {
  range: Range;
  subnets: Subnet[];
  routes: { destination: string; gateway: string }[];
  exposeRoutesToVswitch: boolean;
  protection: { delete: boolean };
}

export interface FirewallRule {
  description: string | null;
  direction: "in" | "out";
  protocol: "tcp" | "udp" | "icmp" | "esp" | "gre";
  port: string | null;
  source_ips: string[];
  destination_ips: string[];
}

export interface FirewallRecord extends NamedRecord {
  rules: FirewallRule[];
  /** Label selectors it is applied to. */
  selectors: string[];
}

export interface SshKeyRecord extends NamedRecord {
  readonly publicKey: string;
  /** MD5 of the key, as `aa:bb:...`. */
  readonly fingerprint: string;
}

export interface PlacementGroupRecord extends NamedRecord {
  readonly type: "spread";
}

export interface PrimaryIpRecord extends NamedRecord {
  readonly type: "ipv4" | "ipv6";
  readonly ip: string;
  readonly location: Location;
  assigneeId: number | null;
  autoDelete: boolean;
  protection: { delete: boolean };
  dnsPtr: { ip: string; dns_ptr: string }[];
}

/** A server's interface in a private network. */
export interface Attachment {
  readonly networkId: number;
  readonly ip: string;
  aliasIps: string[];
  readonly macAddress: string;
  /** False until the action that attaches it has ended: the address is taken, but the interface is not there yet. */
  ready: boolean;
  /** The action that detaches it runs. */
  leaving: boolean;
}

export type ServerStatus = "initializing" | "starting" | "running" | "stopping" | "off" | "deleting";

export interface ServerRecord extends NamedRecord {
  status: ServerStatus;
  readonly serverType: ServerType;
  readonly image: Image;
  readonly location: Location;
  /** Firewalls applied directly, not by a label selector. */
  readonly firewalls: Map<number, "pending" | "applied">;
  attachments: Attachment[];
  placementGroupId: number | null;
  ipv4Id: number | null;
  ipv6Id: number | null;
  protection: { delete: boolean; rebuild: boolean };
  readonly machine: Machine;
}
