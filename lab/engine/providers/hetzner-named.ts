/** The Hetzner resources that are just a named, labelled thing: SSH key, placement group, network, firewall, address. */
import { z } from "zod";
import { UnsupportedError } from "../errors.ts";
import { equal, type PropertyMap, textOf } from "../properties.ts";
import {
  type Created,
  numeric,
  type OperationContext,
  type Recorded,
  type ResourceDefinition,
  textMap,
} from "../provider.ts";
import { HetznerApiError, type HetznerClient } from "./hetzner-client.ts";
import { demandOurs } from "./hetzner-labels.ts";

type Thing = Record<string, unknown>;

/** How one kind of thing differs from the others. */
export interface NamedKind {
  /** For people: `SSH key`. */
  kind: string;
  /** Path and key of the list: `ssh_keys`. */
  collection: string;
  /** Key of one: `ssh_key`. */
  singular: string;
  inputs: z.ZodType;
  replaceOn: readonly string[];
  /** Inputs whose lists have no order. */
  sets?: readonly string[];
  /** Body of the creation. */
  body(inputs: PropertyMap): Thing;
  /** Outputs of the thing as the API shows it. */
  outputs(thing: Thing, inputs: PropertyMap): PropertyMap;
  /** Changes in place beyond name and labels. */
  change?(client: HetznerClient, recorded: Recorded, inputs: PropertyMap, signal: AbortSignal): Promise<void>;
  /** What must be done before it can be deleted. */
  release?(client: HetznerClient, thing: Thing, signal: AbortSignal): Promise<void>;
}

const named = { name: z.string().min(1), labels: textMap.optional() };

/** The first of a list that has exactly this name. */
export async function findByName(
  client: HetznerClient,
  collection: string,
  name: string,
  signal: AbortSignal,
): Promise<Thing | undefined> {
  const found = await client.list(collection, { name }, signal);
  return found.find((thing) => thing["name"] === name);
}

/** The id of a thing, as Pulumi has it. */
export function idOf(thing: Thing): string {
  return String(thing["id"]);
}

/** The resource definition of a kind. */
export function namedResource(client: HetznerClient, kind: NamedKind): ResourceDefinition {
  const { collection, singular } = kind;
  const result = (thing: Thing, inputs: PropertyMap): Created => ({
    id: idOf(thing),
    outputs: { ...inputs, labels: {}, ...kind.outputs(thing, inputs), ...pick(inputs, ["labels"]) },
  });
  const read = async (id: string, context: OperationContext): Promise<Thing> =>
    (await client.request("GET", `/${collection}/${id}`, context.signal))[singular] as Thing;
  return {
    inputs: kind.inputs,
    replaceOn: kind.replaceOn,
    ...(kind.sets === undefined ? {} : { sets: kind.sets }),
    nameProperty: "name",
    create: async (inputs, context) => {
      const body = { name: inputs["name"], labels: inputs["labels"] ?? {}, ...kind.body(inputs) };
      const answer = await client.request("POST", `/${collection}`, context.signal, body);
      await client.wait(
        [answer["action"], ...((answer["actions"] as unknown[] | undefined) ?? [])],
        context.signal,
      );
      const thing = answer[singular] as Thing;
      if (inputs["deleteProtection"] === true) {
        await setProtection(client, `/${collection}/${idOf(thing)}`, true, context.signal);
      }
      return result(thing, inputs);
    },
    update: async (recorded, inputs, context) => {
      await kind.change?.(client, recorded, inputs, context.signal);
      if (
        !equal(recorded.inputs["name"], inputs["name"]) ||
        !equal(recorded.inputs["labels"], inputs["labels"])
      ) {
        const body = { name: inputs["name"], labels: inputs["labels"] ?? {} };
        await client.request("PUT", `/${collection}/${recorded.id}`, context.signal, body);
      }
      return result(await read(recorded.id, context), inputs).outputs;
    },
    delete: async (recorded, context) => {
      if (kind.release !== undefined) {
        const answer = await client.find("GET", `/${collection}/${recorded.id}`, context.signal);
        if (answer === undefined) return;
        await kind.release(client, answer[singular] as Thing, context.signal);
      }
      const answer = await client.find("DELETE", `/${collection}/${recorded.id}`, context.signal);
      await client.wait([answer?.["action"]], context.signal);
    },
    isGone: async ({ id }, { signal }) =>
      (await client.find("GET", `/${collection}/${id}`, signal)) === undefined,
    find: async (inputs, context) => {
      const thing = await findByName(client, collection, textOf(inputs["name"]), context.signal);
      if (thing === undefined) return undefined;
      demandOurs(
        kind.kind,
        { id: thing["id"], name: thing["name"], labels: thing["labels"] },
        inputs["labels"],
      );
      return result(thing, inputs);
    },
  };
}

/** Some members of a map, where they are there. */
function pick(map: PropertyMap, keys: readonly string[]): PropertyMap {
  return Object.fromEntries(
    keys.filter((key) => map[key] !== undefined).map((key) => [key, map[key] ?? null]),
  );
}

export const sshKey: NamedKind = {
  kind: "SSH key",
  collection: "ssh_keys",
  singular: "ssh_key",
  inputs: z.strictObject({ ...named, publicKey: z.string().min(1) }),
  replaceOn: ["publicKey"],
  body: (inputs) => ({ public_key: inputs["publicKey"] }),
  outputs: (thing) => ({ fingerprint: String(thing["fingerprint"]) }),
};

export const placementGroup: NamedKind = {
  kind: "placement group",
  collection: "placement_groups",
  singular: "placement_group",
  inputs: z.strictObject({ ...named, type: z.literal("spread") }),
  replaceOn: ["type"],
  body: (inputs) => ({ type: inputs["type"] }),
  outputs: (thing) => ({ servers: (thing["servers"] as number[] | undefined) ?? [] }),
};

async function setProtection(
  client: HetznerClient,
  route: string,
  wanted: boolean,
  signal: AbortSignal,
): Promise<void> {
  const answer = await client.request("POST", `${route}/actions/change_protection`, signal, {
    delete: wanted,
  });
  await client.wait([answer["action"]], signal);
}

async function changeProtection(
  client: HetznerClient,
  route: string,
  recorded: Recorded,
  inputs: PropertyMap,
  signal: AbortSignal,
): Promise<void> {
  const before = recorded.inputs["deleteProtection"] === true;
  const after = inputs["deleteProtection"] === true;
  if (before !== after) await setProtection(client, route, after, signal);
}

export const network: NamedKind = {
  kind: "network",
  collection: "networks",
  singular: "network",
  inputs: z.strictObject({
    ...named,
    ipRange: z.string().min(1),
    deleteProtection: z.boolean().optional(),
    exposeRoutesToVswitch: z.boolean().optional(),
  }),
  replaceOn: ["ipRange"],
  body: (inputs) => ({
    ip_range: inputs["ipRange"],
    ...(inputs["exposeRoutesToVswitch"] === undefined
      ? {}
      : { expose_routes_to_vswitch: inputs["exposeRoutesToVswitch"] }),
  }),
  outputs: (thing) => ({ ipRange: String(thing["ip_range"]) }),
  change: async (client, recorded, inputs, signal) => {
    const route = `/networks/${recorded.id}`;
    await changeProtection(client, route, recorded, inputs, signal);
    if (!equal(recorded.inputs["exposeRoutesToVswitch"], inputs["exposeRoutesToVswitch"])) {
      const exposed = inputs["exposeRoutesToVswitch"] ?? false;
      await client.request("PUT", route, signal, { expose_routes_to_vswitch: exposed });
    }
  },
};

const ruleSchema = z.strictObject({
  direction: z.enum(["in", "out"]),
  protocol: z.enum(["tcp", "udp", "icmp", "gre", "esp"]),
  port: z.string().optional(),
  sourceIps: z.array(z.string()).optional(),
  destinationIps: z.array(z.string()).optional(),
  description: z.string().optional(),
});
const applyToSchema = z.strictObject({ server: numeric.optional(), labelSelector: z.string().optional() });

function ruleBodies(inputs: PropertyMap): Thing[] {
  return z
    .array(ruleSchema)
    .parse(inputs["rules"] ?? [])
    .map((rule) => ({
      direction: rule.direction,
      protocol: rule.protocol,
      source_ips: rule.sourceIps ?? [],
      destination_ips: rule.destinationIps ?? [],
      ...(rule.port === undefined ? {} : { port: rule.port }),
      ...(rule.description === undefined ? {} : { description: rule.description }),
    }));
}

/** Where a firewall applies, in the API's form. */
export function firewallTargets(targets: PropertyMap[string] | undefined): Thing[] {
  return z
    .array(applyToSchema)
    .parse(targets ?? [])
    .map((target) =>
      target.server === undefined
        ? { type: "label_selector", label_selector: { selector: target.labelSelector } }
        : { type: "server", server: { id: target.server } },
    );
}

/** Applies a firewall to servers or label selectors, or takes it from them. */
export async function moveFirewall(
  client: HetznerClient,
  firewall: string,
  action: "apply_to_resources" | "remove_from_resources",
  targets: readonly Thing[],
  signal: AbortSignal,
): Promise<void> {
  if (targets.length === 0) return;
  const body = action === "apply_to_resources" ? { apply_to: targets } : { remove_from: targets };
  const answer = await client.request("POST", `/firewalls/${firewall}/actions/${action}`, signal, body);
  await client.wait(answer["actions"] as unknown[], signal);
}

/**
 * Applies a firewall to what is new among its targets and takes it from what is not wanted any more. What a former
 * try did already is not done again.
 */
export async function exchangeTargets(
  client: HetznerClient,
  firewall: string,
  before: readonly Thing[],
  after: readonly Thing[],
  signal: AbortSignal,
): Promise<void> {
  const answer = await client.request("GET", `/firewalls/${firewall}`, signal);
  const applied = ((answer["firewall"] as Thing)["applied_to"] as Thing[] | undefined) ?? [];
  const key = (target: Thing): string =>
    target["type"] === "server"
      ? `server ${String((target["server"] as Thing)["id"])}`
      : `selector ${String((target["label_selector"] as Thing)["selector"])}`;
  const there = new Set(applied.map(key));
  const wanted = new Set(after.map(key));
  const added = after.filter((target) => !there.has(key(target)));
  const removed = before.filter((target) => there.has(key(target)) && !wanted.has(key(target)));
  await moveFirewall(client, firewall, "apply_to_resources", added, signal);
  await moveFirewall(client, firewall, "remove_from_resources", removed, signal);
}

export const firewall: NamedKind = {
  kind: "firewall",
  collection: "firewalls",
  singular: "firewall",
  inputs: z.strictObject({
    ...named,
    rules: z.array(ruleSchema).optional(),
    applyTos: z.array(applyToSchema).optional(),
  }),
  replaceOn: [],
  sets: ["rules", "applyTos"],
  body: (inputs) => ({ rules: ruleBodies(inputs), apply_to: firewallTargets(inputs["applyTos"]) }),
  outputs: (thing) => ({
    applyTos: ((thing["applied_to"] as Thing[] | undefined) ?? []).map((target) => ({
      ...(target["type"] === "server"
        ? { server: Number((target["server"] as Thing)["id"]) }
        : { labelSelector: String((target["label_selector"] as Thing | undefined)?.["selector"]) }),
    })),
  }),
  change: async (client, recorded, inputs, signal) => {
    if (!equal(recorded.inputs["rules"], inputs["rules"])) {
      const body = { rules: ruleBodies(inputs) };
      const answer = await client.request(
        "POST",
        `/firewalls/${recorded.id}/actions/set_rules`,
        signal,
        body,
      );
      await client.wait((answer["actions"] as unknown[] | undefined) ?? [], signal);
    }
    const before = firewallTargets(recorded.inputs["applyTos"]);
    await exchangeTargets(client, recorded.id, before, firewallTargets(inputs["applyTos"]), signal);
  },
  release: async (client, thing, signal) => {
    const targets = (thing["applied_to"] as Thing[] | undefined) ?? [];
    const bare = targets.map((target) =>
      target["type"] === "server"
        ? { type: "server", server: { id: (target["server"] as Thing)["id"] } }
        : { type: "label_selector", label_selector: target["label_selector"] },
    );
    try {
      await moveFirewall(client, idOf(thing), "remove_from_resources", bare, signal);
    } catch (error) {
      // A server that is being deleted at this moment loses the firewall by itself.
      if (!(error instanceof HetznerApiError)) throw error;
    }
  },
};

export const primaryIp: NamedKind = {
  kind: "primary IP",
  collection: "primary_ips",
  singular: "primary_ip",
  inputs: z.strictObject({
    ...named,
    type: z.enum(["ipv4", "ipv6"]),
    assigneeType: z.literal("server").optional(),
    assigneeId: numeric.optional(),
    autoDelete: z.boolean().optional(),
    deleteProtection: z.boolean().optional(),
    location: z.string().optional(),
    datacenter: z.string().optional(),
  }),
  replaceOn: ["type", "location", "datacenter"],
  body: (inputs) => ({
    type: inputs["type"],
    assignee_type: inputs["assigneeType"] ?? "server",
    auto_delete: inputs["autoDelete"] ?? false,
    ...(inputs["assigneeId"] === undefined ? {} : { assignee_id: inputs["assigneeId"] }),
    ...(inputs["location"] === undefined ? {} : { location: inputs["location"] }),
    ...(inputs["datacenter"] === undefined ? {} : { datacenter: inputs["datacenter"] }),
  }),
  outputs: (thing) => ({
    ipAddress: String(thing["ip"]),
    ipNetwork: thing["type"] === "ipv6" ? String(thing["ip"]) : "",
    assigneeId: (thing["assignee_id"] as number | null | undefined) ?? 0,
  }),
  change: async (client, recorded, inputs, signal) => {
    const route = `/primary_ips/${recorded.id}`;
    await changeProtection(client, route, recorded, inputs, signal);
    if (!equal(recorded.inputs["assigneeId"], inputs["assigneeId"])) {
      throw new UnsupportedError(
        "a change of assigneeId (the real provider moves the address while the server is off)",
        `primary IP ${textOf(inputs["name"])}`,
      );
    }
    if (!equal(recorded.inputs["autoDelete"], inputs["autoDelete"])) {
      await client.request("PUT", route, signal, { auto_delete: inputs["autoDelete"] ?? false });
    }
  },
};
