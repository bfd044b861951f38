import type { Hono } from "hono";
import { z } from "zod";
import { containsAddress, containsRange, formatRange, parseAddress, parseRange } from "../addresses.ts";
import { ApiError, invalidField } from "../errors.ts";
import type { Project } from "../model/project.ts";
import type { NetworkRecord, Subnet } from "../model/records.ts";
import { networkLimits, networkRange, newSubnet } from "../model/subnets.ts";
import { networkMembers, networkView } from "../model/views.ts";
import { labelsSchema, listAnswer, nameSchema, pathId, readBody, updateSchema } from "../request.ts";

const subnetSchema = z.object({
  type: z.string(),
  network_zone: z.string(),
  ip_range: z.string().optional(),
  vswitch_id: z.number().nullish(),
});

const routeSchema = z.object({ destination: z.string(), gateway: z.string() });

const createSchema = z.object({
  name: nameSchema,
  ip_range: z.string(),
  labels: labelsSchema.default({}),
  subnets: z.array(subnetSchema).default([]),
  routes: z.array(routeSchema).default([]),
  expose_routes_to_vswitch: z.boolean().default(false),
});

type Route = z.output<typeof routeSchema>;

function checkRoute(network: Pick<NetworkRecord, "range" | "routes">, route: Route): void {
  if (parseRange(route.destination) === undefined) {
    throw invalidField("destination", `'${route.destination}' is not an IPv4 range in CIDR notation`);
  }
  const gateway = parseAddress(route.gateway);
  if (gateway === undefined || !containsAddress(network.range, gateway)) {
    throw invalidField("gateway", "must be an address in the network");
  }
  if (gateway === network.range.first + 1) {
    throw invalidField("gateway", "must not be the first address of the network: it is its own gateway");
  }
  if (network.routes.length >= networkLimits.routes) {
    throw new ApiError("resource_limit_exceeded", `a network has at most ${networkLimits.routes} routes`);
  }
  if (network.routes.some(({ destination }) => destination === route.destination)) {
    throw invalidField("destination", "the network already has a route to it");
  }
}

function attachedTo(project: Project, network: NetworkRecord) {
  return project
    .holders()
    .filter((server) => server.attachments.some(({ networkId }) => networkId === network.id));
}

function hasServers(project: Project, network: NetworkRecord, subnet: Subnet): boolean {
  return attachedTo(project, network).some((server) =>
    server.attachments.some(
      ({ networkId, ip }) =>
        networkId === network.id && containsAddress(subnet.range, parseAddress(ip) ?? -1),
    ),
  );
}

function addCollection(app: Hono, project: Project): void {
  const { networks } = project;
  app.get("/networks", (context) => {
    const views = networks.all().map((network) => networkView(project, network));
    return listAnswer(context, "networks", views, ["id", "name", "created"], ["name"]);
  });
  app.post("/networks", async (context) => {
    const body = await readBody(context, createSchema);
    const range = networkRange(body.ip_range);
    networks.checkNameFree(body.name);
    const subnets: Subnet[] = [];
    for (const subnet of body.subnets) {
      subnets.push(newSubnet({ range, subnets }, subnet.ip_range, subnet.type, subnet.network_zone));
    }
    const routes: Route[] = [];
    for (const route of body.routes) {
      checkRoute({ range, routes }, route);
      routes.push(route);
    }
    const network = networks.add({
      id: project.nextId(),
      name: body.name,
      labels: body.labels,
      created: project.clock.date(),
      range,
      subnets,
      routes,
      exposeRoutesToVswitch: body.expose_routes_to_vswitch,
      protection: { delete: false },
    });
    return context.json({ network: networkView(project, network) }, 201);
  });
  app.get("/networks/:id{[0-9]+}", (context) =>
    context.json({ network: networkView(project, networks.get(pathId(context))) }),
  );
  app.get("/networks/:id{[0-9]+}/members", (context) => {
    const members = networkMembers(project, networks.get(pathId(context)));
    return listAnswer(
      context,
      "members",
      members,
      ["id", "type", "status", "ip"],
      ["type", "status", "subnet"],
    );
  });
  app.put("/networks/:id{[0-9]+}", async (context) => {
    const network = networks.get(pathId(context));
    const body = await readBody(
      context,
      updateSchema.extend({ expose_routes_to_vswitch: z.boolean().optional() }),
    );
    project.checkNetworkIdle(network);
    if (body.name !== undefined) networks.checkNameFree(body.name, network);
    network.name = body.name ?? network.name;
    network.labels = body.labels ?? network.labels;
    network.exposeRoutesToVswitch = body.expose_routes_to_vswitch ?? network.exposeRoutesToVswitch;
    return context.json({ network: networkView(project, network) });
  });
  app.delete("/networks/:id{[0-9]+}", (context) => {
    const network = networks.get(pathId(context));
    if (network.protection.delete) throw new ApiError("protected", "network is protected from deletion");
    project.checkNetworkIdle(network);
    // Attached servers are detached.
    for (const server of attachedTo(project, network)) {
      server.attachments = server.attachments.filter(({ networkId }) => networkId !== network.id);
    }
    networks.remove(network);
    project.changes.notify();
    return context.body(null, 204);
  });
}

function addChanges(app: Hono, project: Project): void {
  const change = <T extends z.ZodType>(
    command:
      "add_subnet" | "delete_subnet" | "add_route" | "delete_route" | "change_ip_range" | "change_protection",
    schema: T,
    /** Checks the wish and gives what is done at the end. */
    prepare: (network: NetworkRecord, body: z.output<T>) => () => void,
  ) => {
    app.post(`/networks/:id{[0-9]+}/actions/${command}`, async (context) => {
      const network = project.networks.get(pathId(context));
      const body = await readBody(context, schema);
      project.checkNetworkIdle(network);
      const finish = prepare(network, body);
      const action = project.actions.start(command, [{ id: network.id, type: "network" }], { finish });
      return context.json({ action: project.actions.view(action) }, 201);
    });
  };
  const subnetOf = (network: NetworkRecord, range: string) => {
    const subnet = network.subnets.find((one) => formatRange(one.range) === range);
    if (subnet === undefined) throw new ApiError("not_found", `network has no subnet '${range}'`);
    return subnet;
  };

  change("add_subnet", subnetSchema, (network, body) => {
    const subnet = newSubnet(network, body.ip_range, body.type, body.network_zone);
    return () => network.subnets.push(subnet);
  });
  change("delete_subnet", z.object({ ip_range: z.string() }), (network, body) => {
    const subnet = subnetOf(network, body.ip_range);
    if (hasServers(project, network, subnet)) {
      throw new ApiError("service_error", "cannot remove subnet because servers are attached to it");
    }
    return () => network.subnets.splice(network.subnets.indexOf(subnet), 1);
  });
  change("add_route", routeSchema, (network, route) => {
    checkRoute(network, route);
    return () => network.routes.push(route);
  });
  change("delete_route", routeSchema, (network, route) => {
    const found = network.routes.find(
      ({ destination, gateway }) => destination === route.destination && gateway === route.gateway,
    );
    if (found === undefined)
      throw new ApiError("not_found", `network has no route to '${route.destination}'`);
    return () => network.routes.splice(network.routes.indexOf(found), 1);
  });
  change("change_ip_range", z.object({ ip_range: z.string() }), (network, body) => {
    const range = networkRange(body.ip_range);
    if (range.first !== network.range.first || !containsRange(range, network.range)) {
      throw invalidField("ip_range", "a network can only be extended, and must begin at the same address");
    }
    return () => {
      network.range = range;
    };
  });
  change("change_protection", z.object({ delete: z.boolean().optional() }), (network, body) => () => {
    network.protection.delete = body.delete ?? network.protection.delete;
  });
}

export function addNetworkRoutes(app: Hono, project: Project): void {
  addCollection(app, project);
  addChanges(app, project);
}
