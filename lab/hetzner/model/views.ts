/** The API's shape of each resource: https://docs.hetzner.cloud/reference/cloud */
import { containsAddress, formatAddress, formatRange, parseAddress } from "../addresses.ts";
import { imageView } from "../catalog/images.ts";
import { serverTypeView } from "../catalog/server-types.ts";
import type { Project } from "./project.ts";
import type {
  FirewallRecord,
  NamedRecord,
  NetworkRecord,
  PlacementGroupRecord,
  PrimaryIpRecord,
  ServerRecord,
  SshKeyRecord,
} from "./records.ts";

const named = (record: NamedRecord) => ({
  id: record.id,
  name: record.name,
  labels: { ...record.labels },
  created: record.created.toISOString(),
});

export function sshKeyView(key: SshKeyRecord) {
  return { ...named(key), fingerprint: key.fingerprint, public_key: key.publicKey };
}

export function placementGroupView(project: Project, group: PlacementGroupRecord) {
  const servers = project.servers.all().filter((server) => server.placementGroupId === group.id);
  return { ...named(group), type: group.type, servers: servers.map(({ id }) => id) };
}

export function networkView(project: Project, network: NetworkRecord) {
  const gateway = formatAddress(network.range.first + 1);
  const servers = project.servers
    .all()
    .filter((server) => server.attachments.some(({ networkId, ready }) => ready && networkId === network.id));
  return {
    ...named(network),
    ip_range: formatRange(network.range),
    subnets: network.subnets.map((subnet) => ({
      type: subnet.type,
      ip_range: formatRange(subnet.range),
      network_zone: subnet.networkZone,
      gateway,
      vswitch_id: null,
    })),
    routes: [...network.routes],
    servers: servers.map(({ id }) => id),
    load_balancers: [],
    protection: { ...network.protection },
    expose_routes_to_vswitch: network.exposeRoutesToVswitch,
  };
}

/** What is attached to a network, also what is being attached or detached. */
export function networkMembers(project: Project, network: NetworkRecord) {
  const subnetOf = (ip: string) =>
    network.subnets.find(({ range }) => containsAddress(range, parseAddress(ip) ?? -1));
  return project.servers.all().flatMap((server) =>
    server.attachments
      .filter(({ networkId }) => networkId === network.id)
      .map((attachment) => {
        const subnet = subnetOf(attachment.ip);
        return {
          type: "server" as const,
          id: server.id,
          ip: attachment.ip,
          alias_ips: [...attachment.aliasIps],
          status: attachment.leaving ? "detaching" : attachment.ready ? "ok" : "attaching",
          subnet: subnet === undefined ? "" : formatRange(subnet.range),
        };
      }),
  );
}

export function firewallView(project: Project, firewall: FirewallRecord) {
  const direct = project.servers
    .all()
    .filter((server) => server.firewalls.has(firewall.id))
    .map(({ id }) => ({ type: "server" as const, server: { id } }));
  const selected = firewall.selectors.map((selector) => ({
    type: "label_selector" as const,
    label_selector: { selector },
    applied_to_resources: project.serversSelectedBy(selector).map(({ id }) => ({
      type: "server" as const,
      server: { id },
    })),
  }));
  return {
    ...named(firewall),
    rules: firewall.rules.map((rule) => ({ ...rule })),
    applied_to: [...direct, ...selected],
  };
}

export function primaryIpView(ip: PrimaryIpRecord) {
  return {
    ...named(ip),
    type: ip.type,
    ip: ip.ip,
    location: ip.location,
    assignee_id: ip.assigneeId,
    // https://docs.hetzner.cloud/changelog#2026-04-27-primary-ips-will-return-unassigned
    assignee_type: ip.assigneeId === null ? ("unassigned" as const) : ("server" as const),
    auto_delete: ip.autoDelete,
    blocked: false,
    dns_ptr: [...ip.dnsPtr],
    protection: { ...ip.protection },
  };
}

function publicNet(project: Project, server: ServerRecord) {
  const ipv4 = server.ipv4Id === null ? undefined : project.primaryIps.find(server.ipv4Id);
  const ipv6 = server.ipv6Id === null ? undefined : project.primaryIps.find(server.ipv6Id);
  return {
    ipv4:
      ipv4 === undefined
        ? null
        : { id: ipv4.id, ip: ipv4.ip, blocked: false, dns_ptr: ipv4.dnsPtr[0]?.dns_ptr ?? "" },
    ipv6: ipv6 === undefined ? null : { id: ipv6.id, ip: ipv6.ip, blocked: false, dns_ptr: [...ipv6.dnsPtr] },
    floating_ips: [],
    firewalls: project.firewallsOf(server),
  };
}

export function serverView(project: Project, server: ServerRecord) {
  const group =
    server.placementGroupId === null ? undefined : project.placementGroups.find(server.placementGroupId);
  const type = serverTypeView(server.serverType, project.stock.offers(server.serverType));
  return {
    ...named(server),
    status: server.status,
    public_net: publicNet(project, server),
    private_net: server.attachments
      .filter(({ ready }) => ready)
      .map((attachment) => ({
        network: attachment.networkId,
        ip: attachment.ip,
        alias_ips: [...attachment.aliasIps],
        mac_address: attachment.macAddress,
      })),
    server_type: type,
    location: server.location,
    image: imageView(server.image),
    iso: null,
    rescue_enabled: false,
    locked: project.actions.running("server", server.id).length > 0,
    backup_window: null,
    outgoing_traffic: 0,
    ingoing_traffic: 0,
    included_traffic:
      type.prices.find(({ location }) => location === server.location.name)?.included_traffic ?? 0,
    protection: { ...server.protection },
    volumes: [],
    load_balancers: [],
    primary_disk_size: server.serverType.disk,
    placement_group: group === undefined ? null : placementGroupView(project, group),
  };
}

export type ServerView = ReturnType<typeof serverView>;
export type NetworkView = ReturnType<typeof networkView>;
export type FirewallView = ReturnType<typeof firewallView>;
export type PrimaryIpView = ReturnType<typeof primaryIpView>;
export type PlacementGroupView = ReturnType<typeof placementGroupView>;
export type SshKeyView = ReturnType<typeof sshKeyView>;
