import { randomBytes } from "node:crypto";
import type { Hono } from "hono";
import { z } from "zod";
import { ApiError, invalidField } from "../errors.ts";
import type { Action } from "../model/actions.ts";
import { checkRoomInGroup } from "../model/limits.ts";
import { createServerSchema, newServer, serverNameSchema } from "../model/new-server.ts";
import type { Project } from "../model/project.ts";
import type { ServerRecord } from "../model/records.ts";
import {
  attach,
  deleteServer,
  detach,
  restartServer,
  shutdownServer,
  startServer,
  stopServer,
} from "../model/server-life.ts";
import { reserveAttachment } from "../model/subnets.ts";
import { serverView, type ServerView } from "../model/views.ts";
import { labelsSchema, listAnswer, pathId, readBody } from "../request.ts";

/** Called when a server's delete action has ended. */
export type ServerDeleted = (server: ServerView) => void;

function addCollection(app: Hono, project: Project, onDeleted: ServerDeleted): void {
  const { servers, actions } = project;
  app.get("/servers", (context) => {
    const views = servers.all().map((server) => serverView(project, server));
    return listAnswer(context, "servers", views, ["id", "name", "created"], ["name", "status"]);
  });
  app.post("/servers", async (context) => {
    const wish = await readBody(context, createServerSchema);
    const server = newServer(project, wish);
    const created = actions.start("create_server", [{ id: server.id, type: "server" }], {
      finish: () => {
        server.status = "off";
        for (const firewall of server.firewalls.keys()) server.firewalls.set(firewall, "applied");
      },
      // It stays in the project, and bills, until somebody deletes it.
      failed: () => {
        server.status = "off";
      },
    });
    const next: Action[] = [];
    // The interface is attached while the server starts, so it may come late, as users report.
    if (wish.start_after_create) next.push(startServer(project, server, created));
    for (const attachment of server.attachments) next.push(attach(project, server, attachment, created));
    const withKeys = (wish.ssh_keys ?? []).length > 0;
    return context.json(
      {
        server: serverView(project, server),
        action: actions.view(created),
        next_actions: next.map((action) => actions.view(action)),
        root_password: withKeys ? null : randomBytes(12).toString("base64url"),
      },
      201,
    );
  });
  app.get("/servers/:id{[0-9]+}", (context) =>
    context.json({ server: serverView(project, servers.get(pathId(context))) }),
  );
  app.put("/servers/:id{[0-9]+}", async (context) => {
    const server = servers.get(pathId(context));
    const schema = z.object({ name: serverNameSchema.optional(), labels: labelsSchema.optional() });
    const body = await readBody(context, schema);
    if (body.name !== undefined) servers.checkNameFree(body.name, server);
    server.name = body.name ?? server.name;
    server.labels = body.labels ?? server.labels;
    return context.json({ server: serverView(project, server) });
  });
  app.delete("/servers/:id{[0-9]+}", (context) => {
    const server = servers.get(pathId(context));
    if (server.protection.delete) throw new ApiError("protected", "server is protected from deletion");
    project.checkUnlocked("server", server.id);
    const last = serverView(project, server);
    const action = deleteServer(project, server, () => onDeleted(last));
    return context.json({ action: actions.view(action) });
  });
}

/** Adds `POST /servers/{id}/actions/<path>`, for servers that are not locked. */
function serverAction<T extends z.ZodType>(
  app: Hono,
  project: Project,
  path: string,
  schema: T,
  start: (server: ServerRecord, body: z.output<T>) => Action,
): void {
  app.post(`/servers/:id{[0-9]+}/actions/${path}`, async (context) => {
    const server = project.servers.get(pathId(context));
    const body = await readBody(context, schema);
    project.checkUnlocked("server", server.id);
    return context.json({ action: project.actions.view(start(server, body)) }, 201);
  });
}

function addPowerActions(app: Hono, project: Project): void {
  const none = z.object({});
  serverAction(app, project, "poweron", none, (server) => startServer(project, server));
  serverAction(app, project, "poweroff", none, (server) => stopServer(project, server));
  serverAction(app, project, "shutdown", none, (server) => shutdownServer(project, server));
  serverAction(app, project, "reboot", none, (server) => restartServer(project, server, "reboot_server"));
  serverAction(app, project, "reset", none, (server) => restartServer(project, server, "reset_server"));
}

function addNetworkActions(app: Hono, project: Project): void {
  const attachmentOf = (server: ServerRecord, network: number) => {
    const attachment = server.attachments.find(({ networkId }) => networkId === network);
    if (attachment === undefined) throw invalidField("network", "the server is not attached to this network");
    return attachment;
  };
  const attachSchema = z.object({
    network: z.number().int(),
    ip: z.string().nullish(),
    ip_range: z.string().nullish(),
    alias_ips: z.array(z.string()).nullish(),
  });
  serverAction(app, project, "attach_to_network", attachSchema, (server, body) => {
    const network = project.networks.get(body.network);
    project.checkNetworkIdle(network);
    const attachment = reserveAttachment(project, server, network, {
      ip: body.ip ?? undefined,
      aliasIps: body.alias_ips ?? undefined,
      subnetRange: body.ip_range ?? undefined,
    });
    return attach(project, server, attachment);
  });
  serverAction(app, project, "detach_from_network", z.object({ network: z.number().int() }), (server, body) =>
    detach(project, server, attachmentOf(server, body.network)),
  );
  const aliasSchema = z.object({ network: z.number().int(), alias_ips: z.array(z.string()) });
  serverAction(app, project, "change_alias_ips", aliasSchema, (server, body) => {
    const attachment = attachmentOf(server, body.network);
    const before = attachment.aliasIps;
    attachment.aliasIps = [];
    try {
      const probe = { attachments: [], location: server.location };
      reserveAttachment(project, probe, project.networks.get(body.network), { aliasIps: body.alias_ips });
    } catch (error) {
      attachment.aliasIps = before;
      throw error;
    }
    attachment.aliasIps = body.alias_ips;
    const resources = [
      { id: server.id, type: "server" as const },
      { id: body.network, type: "network" as const },
    ];
    return project.actions.start("change_alias_ips", resources, {
      failed: () => {
        attachment.aliasIps = before;
      },
    });
  });
}

function addOtherActions(app: Hono, project: Project): void {
  const about = (server: ServerRecord) => [{ id: server.id, type: "server" as const }];
  const protection = z.object({ delete: z.boolean().optional(), rebuild: z.boolean().optional() });
  serverAction(app, project, "change_protection", protection, (server, body) => {
    const wanted = { ...server.protection, ...body };
    if (wanted.delete !== wanted.rebuild) {
      throw invalidField("rebuild", "delete and rebuild protection must have the same value");
    }
    return project.actions.start("change_protection", about(server), {
      finish: () => {
        server.protection = { delete: wanted.delete, rebuild: wanted.rebuild };
      },
    });
  });
  const pointer = z.object({ ip: z.string(), dns_ptr: z.string().nullable() });
  serverAction(app, project, "change_dns_ptr", pointer, (server, body) => {
    const ip = project.primaryIps.all().find((one) => one.assigneeId === server.id && one.ip === body.ip);
    if (ip === undefined) throw invalidField("ip", "is no address of the server");
    return project.actions.start("change_dns_ptr", about(server), {
      finish: () => {
        ip.dnsPtr = body.dns_ptr === null ? [] : [{ ip: body.ip, dns_ptr: body.dns_ptr }];
      },
    });
  });
  const group = z.object({ placement_group: z.number().int() });
  serverAction(app, project, "add_to_placement_group", group, (server, body) => {
    const { id } = project.placementGroups.get(body.placement_group);
    if (server.status !== "off") throw new ApiError("server_not_stopped", "the server must be off");
    if (server.placementGroupId !== null)
      throw invalidField("placement_group", "the server already is in a group");
    checkRoomInGroup(project, id);
    server.placementGroupId = id;
    const resources = [...about(server), { id, type: "placement_group" as const }];
    return project.actions.start("add_to_placement_group", resources, {
      failed: () => {
        server.placementGroupId = null;
      },
    });
  });
  serverAction(app, project, "remove_from_placement_group", z.object({}), (server) => {
    const id = server.placementGroupId;
    if (id === null) throw invalidField("placement_group", "the server is in no group");
    const resources = [...about(server), { id, type: "placement_group" as const }];
    return project.actions.start("remove_from_placement_group", resources, {
      finish: () => {
        server.placementGroupId = null;
      },
    });
  });
}

/** Actions of the API that a cluster of ours never asks for. */
const notSimulated = [
  "attach_iso",
  "change_type",
  "create_image",
  "detach_iso",
  "disable_backup",
  "disable_rescue",
  "enable_backup",
  "enable_rescue",
  "rebuild",
  "request_console",
  "reset_password",
] as const;

export function addServerRoutes(app: Hono, project: Project, onDeleted: ServerDeleted): void {
  addCollection(app, project, onDeleted);
  addPowerActions(app, project);
  addNetworkActions(app, project);
  addOtherActions(app, project);
  for (const name of notSimulated) {
    app.post(`/servers/:id{[0-9]+}/actions/${name}`, (context) => {
      project.servers.get(pathId(context));
      throw new ApiError("unsupported_error", `the lab's Hetzner simulator does not simulate ${name}`);
    });
  }
}
