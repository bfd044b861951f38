import type { Hono } from "hono";
import { z } from "zod";
import { locations } from "../catalog/locations.ts";
import { ApiError, invalidField } from "../errors.ts";
import type { TimedStep } from "../durations.ts";
import type { ActionResource } from "../model/actions.ts";
import { addPrimaryIp, assign, checkAssignable, removePrimaryIp, unassign } from "../model/primary-ips.ts";
import type { Project } from "../model/project.ts";
import type { PrimaryIpRecord } from "../model/records.ts";
import { primaryIpView } from "../model/views.ts";
import { labelsSchema, listAnswer, nameSchema, pathId, readBody, updateSchema } from "../request.ts";

const createSchema = z.object({
  name: nameSchema,
  type: z.enum(["ipv4", "ipv6"]),
  assignee_type: z.literal("server").default("server"),
  assignee_id: z.number().int().nullish(),
  location: z.union([z.string(), z.number()]).nullish(),
  datacenter: z.never({ error: "datacenters were removed on 2026-07-01: use location" }).optional(),
  auto_delete: z.boolean().default(false),
  labels: labelsSchema.default({}),
});

function addCollection(app: Hono, project: Project): void {
  const { primaryIps } = project;
  app.get("/primary_ips", (context) =>
    listAnswer(
      context,
      "primary_ips",
      primaryIps.all().map(primaryIpView),
      ["id", "created"],
      ["name", "ip"],
    ),
  );
  app.post("/primary_ips", async (context) => {
    const body = await readBody(context, createSchema);
    primaryIps.checkNameFree(body.name);
    const server = body.assignee_id == null ? undefined : project.servers.get(body.assignee_id);
    const location =
      server?.location ??
      locations.find(({ id, name }) => [name, String(id)].includes(String(body.location)));
    if (location === undefined) {
      throw invalidField("location", `must be one of: ${locations.map(({ name }) => name).join(", ")}`);
    }
    if (server !== undefined) {
      project.checkUnlocked("server", server.id);
      checkAssignable({ type: body.type, assigneeId: null, location }, server);
    }
    const ip = addPrimaryIp(project, {
      name: body.name,
      labels: body.labels,
      type: body.type,
      location,
      autoDelete: body.auto_delete,
    });
    if (server === undefined) return context.json({ primary_ip: primaryIpView(ip) }, 201);
    assign(ip, server);
    const action = project.actions.start("create_primary_ip", [{ id: ip.id, type: "primary_ip" }]);
    return context.json({ primary_ip: primaryIpView(ip), action: project.actions.view(action) }, 201);
  });
  app.get("/primary_ips/:id{[0-9]+}", (context) =>
    context.json({ primary_ip: primaryIpView(primaryIps.get(pathId(context))) }),
  );
  app.put("/primary_ips/:id{[0-9]+}", async (context) => {
    const ip = primaryIps.get(pathId(context));
    const body = await readBody(context, updateSchema.extend({ auto_delete: z.boolean().optional() }));
    if (body.name !== undefined) primaryIps.checkNameFree(body.name, ip);
    ip.name = body.name ?? ip.name;
    ip.labels = body.labels ?? ip.labels;
    ip.autoDelete = body.auto_delete ?? ip.autoDelete;
    return context.json({ primary_ip: primaryIpView(ip) });
  });
  app.delete("/primary_ips/:id{[0-9]+}", (context) => {
    const ip = primaryIps.get(pathId(context));
    if (ip.protection.delete) throw new ApiError("protected", "primary IP is protected from deletion");
    if (ip.assigneeId !== null)
      throw new ApiError("must_be_unassigned", "primary IP is still assigned to a server");
    removePrimaryIp(project, ip);
    return context.body(null, 204);
  });
}

function addChanges(app: Hono, project: Project): void {
  const change = <T extends z.ZodType>(
    path: string,
    command: TimedStep,
    schema: T,
    prepare: (ip: PrimaryIpRecord, body: z.output<T>) => { about?: ActionResource[]; finish: () => void },
  ) => {
    app.post(`/primary_ips/:id{[0-9]+}/actions/${path}`, async (context) => {
      const ip = project.primaryIps.get(pathId(context));
      const body = await readBody(context, schema);
      const { about = [], finish } = prepare(ip, body);
      const action = project.actions.start(command, [{ id: ip.id, type: "primary_ip" }, ...about], {
        finish,
      });
      return context.json({ action: project.actions.view(action) }, 201);
    });
  };
  change(
    "change_protection",
    "change_protection",
    z.object({ delete: z.boolean().optional() }),
    (ip, body) => {
      if (body.delete === true && ip.autoDelete) {
        throw invalidField("delete", "a primary IP with auto_delete cannot be protected");
      }
      return {
        finish: () => {
          ip.protection.delete = body.delete ?? ip.protection.delete;
        },
      };
    },
  );
  change(
    "change_dns_ptr",
    "change_dns_ptr",
    z.object({ ip: z.string(), dns_ptr: z.string().nullable() }),
    (ip, body) => ({
      finish: () => {
        const others = ip.dnsPtr.filter((entry) => entry.ip !== body.ip);
        ip.dnsPtr = body.dns_ptr === null ? others : [...others, { ip: body.ip, dns_ptr: body.dns_ptr }];
      },
    }),
  );
  const assignSchema = z.object({ assignee_id: z.number().int(), assignee_type: z.literal("server") });
  change("assign", "assign_primary_ip", assignSchema, (ip, body) => {
    const server = project.servers.get(body.assignee_id);
    project.checkUnlocked("server", server.id);
    checkAssignable(ip, server);
    return { about: [{ id: server.id, type: "server" }], finish: () => assign(ip, server) };
  });
  change("unassign", "unassign_primary_ip", z.object({}), (ip) => {
    const server = ip.assigneeId === null ? undefined : project.servers.get(ip.assigneeId);
    if (server === undefined) throw new ApiError("invalid_input", "primary IP is not assigned");
    project.checkUnlocked("server", server.id);
    if (server.status !== "off") throw new ApiError("server_not_stopped", "the server must be off");
    return { about: [{ id: server.id, type: "server" }], finish: () => unassign(ip, server) };
  });
}

export function addPrimaryIpRoutes(app: Hono, project: Project): void {
  addCollection(app, project);
  addChanges(app, project);
}
