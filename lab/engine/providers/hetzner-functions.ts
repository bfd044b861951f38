/** The hcloud provider's functions that the program uses: server types, locations, images, SSH keys, servers. */
import { z } from "zod";
import { ProviderError, UnsupportedError } from "../errors.ts";
import { type PropertyMap, type PropertyValue, textOf } from "../properties.ts";
import { anyValue, numeric, type OperationContext, parseInputs } from "../provider.ts";
import type { HetznerClient } from "./hetzner-client.ts";
import { serverFacts } from "./hetzner-server.ts";

type Thing = Record<string, unknown>;

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

const deprecationSchema = z
  .object({ announced: z.string().optional(), unavailable_after: z.string().optional() })
  .optional();

/** Deprecation in the SDK's words. */
function deprecation(value: unknown): PropertyMap {
  const found = deprecationSchema.parse(value ?? undefined);
  return {
    isDeprecated: found !== undefined,
    deprecationAnnounced: found?.announced ?? "",
    unavailableAfter: found?.unavailable_after ?? "",
  };
}

function serverType(thing: Thing): PropertyMap {
  return {
    id: Number(thing["id"]),
    name: text(thing["name"]),
    description: text(thing["description"]),
    category: text(thing["category"]),
    cores: Number(thing["cores"]),
    memory: Number(thing["memory"]),
    disk: Number(thing["disk"]),
    architecture: text(thing["architecture"]),
    cpuType: text(thing["cpu_type"]),
    storageType: text(thing["storage_type"]),
    // Always 0 since August 2024, see the SDK.
    includedTraffic: 0,
    ...deprecation(thing["deprecation"]),
    locations: ((thing["locations"] as Thing[] | undefined) ?? []).map((location) => ({
      id: Number(location["id"]),
      name: text(location["name"]),
      available: location["available"] === true,
      recommended: location["recommended"] === true,
      ...deprecation(location["deprecation"]),
    })),
  };
}

function location(thing: Thing): PropertyMap {
  return {
    id: Number(thing["id"]),
    name: text(thing["name"]),
    description: text(thing["description"]),
    country: text(thing["country"]),
    city: text(thing["city"]),
    latitude: Number(thing["latitude"]),
    longitude: Number(thing["longitude"]),
    networkZone: text(thing["network_zone"]),
  };
}

function image(thing: Thing): PropertyMap {
  return {
    id: Number(thing["id"]),
    name: text(thing["name"]),
    description: text(thing["description"]),
    type: text(thing["type"]),
    architecture: text(thing["architecture"]),
    created: text(thing["created"]),
    deprecated: text(thing["deprecated"]),
    osFlavor: text(thing["os_flavor"]),
    osVersion: text(thing["os_version"]),
    rapidDeploy: thing["rapid_deploy"] === true,
    labels: (thing["labels"] ?? {}) as PropertyMap,
  };
}

function sshKey(thing: Thing): PropertyMap {
  return {
    id: Number(thing["id"]),
    name: text(thing["name"]),
    fingerprint: text(thing["fingerprint"]),
    publicKey: text(thing["public_key"]),
    labels: (thing["labels"] ?? {}) as PropertyMap,
  };
}

function server(thing: Thing): PropertyMap {
  return { id: Number(thing["id"]), iso: "", rescue: "", ...serverFacts(thing) };
}

function one(what: string, args: PropertyMap, found: readonly PropertyMap[]): PropertyMap {
  const [first] = found;
  if (first === undefined) {
    throw new ProviderError("not-found", `there is no ${what} that fits ${JSON.stringify(args)}`);
  }
  return first;
}

const byIdOrName = z.strictObject({ id: numeric.optional(), name: z.string().optional() });

interface HetznerFunction {
  args: z.ZodType;
  call(client: HetznerClient, args: PropertyMap, signal: AbortSignal): Promise<PropertyMap>;
}

async function lookUp(
  client: HetznerClient,
  collection: string,
  args: PropertyMap,
  show: (thing: Thing) => PropertyMap,
  signal: AbortSignal,
): Promise<PropertyMap[]> {
  const query: Record<string, string> = typeof args["name"] === "string" ? { name: args["name"] } : {};
  const all = (await client.list(collection, query, signal)).map(show);
  return all.filter(
    (thing) =>
      (args["id"] === undefined || thing["id"] === args["id"]) &&
      (args["name"] === undefined || thing["name"] === args["name"]),
  );
}

const names = (things: readonly PropertyMap[], key: string): PropertyValue[] =>
  things.map((thing) => thing[key] ?? null);
const ids = (things: readonly PropertyMap[]): PropertyValue[] => things.map((thing) => textOf(thing["id"]));

const functions: Record<string, HetznerFunction> = {
  getServerTypes: {
    args: z.strictObject({}),
    call: async (client, _args, signal) => {
      const serverTypes = (await client.list("server_types", {}, signal)).map(serverType);
      return {
        id: "server-types",
        serverTypes,
        serverTypeIds: ids(serverTypes),
        names: names(serverTypes, "name"),
        descriptions: names(serverTypes, "description"),
      };
    },
  },
  getServerType: {
    args: byIdOrName,
    call: async (client, args, signal) =>
      one("server type", args, await lookUp(client, "server_types", args, serverType, signal)),
  },
  getLocations: {
    args: z.strictObject({}),
    call: async (client, _args, signal) => {
      const locations = (await client.list("locations", {}, signal)).map(location);
      return {
        id: "locations",
        locations,
        locationIds: ids(locations),
        names: names(locations, "name"),
        descriptions: names(locations, "description"),
      };
    },
  },
  getLocation: {
    args: byIdOrName,
    call: async (client, args, signal) =>
      one("location", args, await lookUp(client, "locations", args, location, signal)),
  },
  getImage: {
    args: z.strictObject({
      id: numeric.optional(),
      name: z.string().optional(),
      withArchitecture: z.string().optional(),
      withSelector: z.string().optional(),
      withStatuses: z.array(z.string()).optional(),
      includeDeprecated: z.boolean().optional(),
      mostRecent: z.boolean().optional(),
      selector: z.string().optional(),
    }),
    call: async (client, args, signal) => {
      const query = {
        architecture: textOf(args["withArchitecture"] ?? "x86"),
        include_deprecated: String(args["includeDeprecated"] === true),
        ...(args["name"] === undefined ? {} : { name: textOf(args["name"]) }),
        ...(args["withSelector"] === undefined ? {} : { label_selector: textOf(args["withSelector"]) }),
      };
      const images = (await client.list("images", query, signal)).map(image);
      const fitting = images.filter((thing) => args["id"] === undefined || thing["id"] === args["id"]);
      const newestFirst = [...fitting].sort((left, right) =>
        textOf(right["created"]).localeCompare(textOf(left["created"])),
      );
      if (fitting.length > 1 && args["mostRecent"] !== true) {
        throw new ProviderError(
          "ambiguous",
          `${fitting.length} images fit ${JSON.stringify(args)}; set mostRecent`,
        );
      }
      return { ...args, ...one("image", args, newestFirst) };
    },
  },
  getSshKey: {
    args: z.strictObject({
      id: numeric.optional(),
      name: z.string().optional(),
      fingerprint: z.string().optional(),
      withSelector: z.string().optional(),
      selector: z.string().optional(),
    }),
    call: async (client, args, signal) => {
      const selector = args["withSelector"] ?? args["selector"];
      const query: Record<string, string> =
        selector === undefined ? {} : { label_selector: textOf(selector) };
      const keys = (await client.list("ssh_keys", query, signal)).map(sshKey);
      const fitting = keys.filter((key) =>
        ["id", "name", "fingerprint"].every(
          (property) => args[property] === undefined || args[property] === key[property],
        ),
      );
      return { ...args, ...one("SSH key", args, fitting) };
    },
  },
  getServers: {
    args: z.strictObject({
      withSelector: z.string().optional(),
      withStatuses: z.array(z.string()).optional(),
    }),
    call: async (client, args, signal) => {
      const query: Record<string, string> =
        args["withSelector"] === undefined ? {} : { label_selector: textOf(args["withSelector"]) };
      const servers = (await client.list("servers", query, signal)).map(server);
      const statuses = args["withStatuses"] as string[] | undefined;
      const fitting = servers.filter(
        (thing) => statuses === undefined || statuses.includes(textOf(thing["status"])),
      );
      return { ...args, id: "servers", servers: fitting };
    },
  },
};

/** Type tokens that `invoke` knows. */
export const functionNames = Object.keys(functions);

/** Calls a function by its token, `hcloud:index/getImage:getImage`. */
export async function callFunction(
  client: HetznerClient,
  token: string,
  args: PropertyMap,
  context: OperationContext,
): Promise<PropertyMap> {
  const found = functions[token.split(":").at(-1) ?? ""];
  if (found === undefined || !token.startsWith("hcloud:index/")) {
    throw new UnsupportedError(`function ${token}`, `known are ${functionNames.join(", ")}`);
  }
  const result = await found.call(client, parseInputs(found.args, args), context.signal);
  return parseInputs(z.record(z.string(), anyValue), result);
}
