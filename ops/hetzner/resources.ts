/**
 * The API's answers, as far as they are read here (https://docs.hetzner.cloud/reference/cloud). Whatever else an answer
 * holds is left out, so that a new field of the API breaks nothing.
 */
import { z } from "zod";

const base = { id: z.number(), name: z.string(), labels: z.record(z.string(), z.string()) };
const created = { created: z.string() };
const named = z.object({ name: z.string() });

/** A rule of a firewall, whole: what is read is written back. */
export const firewallRuleSchema = z.looseObject({
  direction: z.enum(["in", "out"]),
  protocol: z.string(),
  port: z.string().nullish(),
  /** CIDR. */
  source_ips: z.array(z.string()).default([]),
  /** CIDR. */
  destination_ips: z.array(z.string()).default([]),
  /** At most 255 characters. */
  description: z.string().nullish(),
});
/** See {@link firewallRuleSchema}. */
export type FirewallRule = z.infer<typeof firewallRuleSchema>;
/** A rule as it is sent. */
export type NewFirewallRule = z.input<typeof firewallRuleSchema>;

const publicAddress = z.object({ id: z.number(), ip: z.string() }).nullish();

/** What a project holds, by the name of its path. */
export const resourceSchemas = {
  servers: z.object({
    ...base,
    ...created,
    /** `initializing`, `starting`, `running`, `stopping`, `off`, `deleting`, … */
    status: z.string(),
    location: named,
    server_type: named,
    public_net: z.object({ ipv4: publicAddress, ipv6: publicAddress }),
    protection: z.object({ delete: z.boolean() }),
  }),
  networks: z.object({
    ...base,
    ...created,
    ip_range: z.string(),
    subnets: z.array(z.object({ ip_range: z.string() })),
    servers: z.array(z.number()),
  }),
  firewalls: z.object({
    ...base,
    ...created,
    rules: z.array(firewallRuleSchema),
    applied_to: z.array(z.object({ type: z.string(), server: z.object({ id: z.number() }).nullish() })),
  }),
  ssh_keys: z.object({ ...base, ...created, fingerprint: z.string() }),
  placement_groups: z.object({ ...base, ...created, servers: z.array(z.number()) }),
  primary_ips: z.object({
    ...base,
    ...created,
    ip: z.string(),
    type: z.enum(["ipv4", "ipv6"]),
    /** Server it belongs to. */
    assignee_id: z.number().nullable(),
    /** Whether it goes with its server. */
    auto_delete: z.boolean(),
    location: named,
  }),
  volumes: z.object({
    ...base,
    ...created,
    /** GB. */
    size: z.number(),
    location: named,
    server: z.number().nullable(),
  }),
  load_balancers: z.object({ ...base, ...created, load_balancer_type: named, location: named }),
  floating_ips: z.object({ ...base, ...created, ip: z.string(), type: z.string(), home_location: named }),
} as const;

/** A kind of resource that a project can hold. */
export type ResourceKind = keyof typeof resourceSchemas;
/** One resource of a kind. */
export type Resource<Kind extends ResourceKind> = z.infer<(typeof resourceSchemas)[Kind]>;

/** An asynchronous change. */
export const actionSchema = z.object({
  id: z.number(),
  command: z.string(),
  status: z.enum(["running", "success", "error"]),
  resources: z.array(z.object({ id: z.number(), type: z.string() })),
  error: z.object({ code: z.string(), message: z.string() }).nullish(),
});
/** See {@link actionSchema}. */
export type Action = z.infer<typeof actionSchema>;

const amount = z.object({
  /** EUR without tax, a decimal number as text. */
  net: z.string().regex(/^\d+(\.\d+)?$/),
});

/** A price at one location. */
const hourlyPrice = z.object({ location: z.string(), price_hourly: amount, price_monthly: amount });

export const serverTypeSchema = z.object({
  id: z.number(),
  name: z.string(),
  /** `x86` or `arm`. */
  architecture: z.string(),
  cores: z.number(),
  /** GB. */
  memory: z.number(),
  prices: z.array(hourlyPrice),
  locations: z.array(
    z.object({
      name: z.string(),
      /** A hint: creation can still answer `resource_unavailable`. */
      available: z.boolean(),
      deprecation: z.object({ announced: z.string(), unavailable_after: z.string() }).nullish(),
    }),
  ),
});
/** A server type with its offers and prices by location. */
export type ServerType = z.infer<typeof serverTypeSchema>;

export const locationSchema = z.object({ id: z.number(), name: z.string(), network_zone: z.string() });
/** A location. */
export type Location = z.infer<typeof locationSchema>;

export const pricingSchema = z.object({
  /** EUR. */
  currency: z.string(),
  primary_ips: z.array(z.object({ type: z.string(), prices: z.array(hourlyPrice) })),
});
/** Prices that are not those of server types. */
export type Pricing = z.infer<typeof pricingSchema>;
