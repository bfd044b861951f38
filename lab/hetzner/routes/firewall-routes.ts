import type { Hono } from "hono";
import { z } from "zod";
import { isNetworkRange } from "../addresses.ts";
import { ApiError } from "../errors.ts";
import { parseLabelSelector } from "../labels.ts";
import type { Action } from "../model/actions.ts";
import { checkRoomInProject, firewallLimits } from "../model/limits.ts";
import type { Project } from "../model/project.ts";
import type { FirewallRecord, ServerRecord } from "../model/records.ts";
import { firewallView } from "../model/views.ts";
import { labelsSchema, listAnswer, nameSchema, pathId, readBody, updateSchema } from "../request.ts";

function isPort(port: string): boolean {
  if (port === "any") return true;
  const [, from, to = from] = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(port) ?? [];
  return from !== undefined && Number(from) >= 1 && Number(from) <= Number(to) && Number(to) <= 65_535;
}

const ranges = z
  .array(
    z.string().refine(isNetworkRange, {
      error: ({ input }) => `'${String(input)}' is not a range in CIDR notation without host bits`,
    }),
  )
  .max(firewallLimits.rangesPerRule)
  .default([]);

const ruleSchema = z
  .object({
    direction: z.enum(["in", "out"]),
    protocol: z.enum(["tcp", "udp", "icmp", "esp", "gre"]),
    port: z.string().nullish(),
    source_ips: ranges,
    destination_ips: ranges,
    description: z.string().max(255).nullish(),
  })
  .superRefine((rule, context) => {
    const wrong = (path: string, message: string) =>
      context.addIssue({ code: "custom", path: [path], message });
    const hasPorts = rule.protocol === "tcp" || rule.protocol === "udp";
    if (hasPorts && (rule.port == null || !isPort(rule.port))) {
      wrong("port", "must be a port, a range of ports (80-85) or any");
    }
    if (!hasPorts && rule.port != null) wrong("port", `${rule.protocol} has no ports`);
    if (rule.direction === "in" && rule.source_ips.length === 0)
      wrong("source_ips", "an inbound rule needs them");
    if (rule.direction === "in" && rule.destination_ips.length > 0)
      wrong("destination_ips", "only for outbound rules");
    if (rule.direction === "out" && rule.destination_ips.length === 0) {
      wrong("destination_ips", "an outbound rule needs them");
    }
    if (rule.direction === "out" && rule.source_ips.length > 0) wrong("source_ips", "only for inbound rules");
  })
  .transform((rule) => ({ ...rule, port: rule.port ?? null, description: rule.description ?? null }));

const rulesSchema = z.array(ruleSchema).max(firewallLimits.rules);

const resourceSchema = z.discriminatedUnion("type", [
  z.object({ type: z.literal("server"), server: z.object({ id: z.number().int() }) }),
  z.object({ type: z.literal("label_selector"), label_selector: z.object({ selector: z.string() }) }),
]);
type FirewallResource = z.output<typeof resourceSchema>;

const createSchema = z.object({
  name: nameSchema,
  labels: labelsSchema.default({}),
  rules: rulesSchema.default([]),
  apply_to: z.array(resourceSchema).default([]),
});

/** @throws ApiError when the server has no public interface or too many firewalls */
export function checkFirewallFits(project: Project, server: ServerRecord): void {
  if (server.ipv4Id === null && server.ipv6Id === null) {
    throw new ApiError("private_net_only_server", "the server has no public interface");
  }
  if (project.firewallsOf(server).length >= firewallLimits.firewallsPerServer) {
    const most = firewallLimits.firewallsPerServer;
    throw new ApiError("resource_limit_exceeded", `a server has at most ${most} firewalls`);
  }
}

/** Starts the action that applies a firewall to a server. */
function applyToServer(project: Project, firewall: FirewallRecord, server: ServerRecord): Action {
  const before = server.firewalls.get(firewall.id);
  server.firewalls.set(firewall.id, "pending");
  return project.actions.start(
    "apply_firewall",
    [
      { id: firewall.id, type: "firewall" },
      { id: server.id, type: "server" },
    ],
    {
      finish: () => {
        if (server.firewalls.has(firewall.id)) server.firewalls.set(firewall.id, "applied");
      },
      failed: () => {
        if (before === undefined) server.firewalls.delete(firewall.id);
        else server.firewalls.set(firewall.id, before);
      },
    },
  );
}

function serverOf(project: Project, id: number): ServerRecord {
  const server = project.servers.find(id);
  if (server === undefined)
    throw new ApiError("firewall_resource_not_found", `server with ID '${id}' not found`);
  return server;
}

/** Checks all, then applies all: nothing is done when one cannot be. */
function apply(project: Project, firewall: FirewallRecord, resources: readonly FirewallResource[]): Action[] {
  const steps = resources.map((resource) => {
    if (resource.type === "server") {
      const server = serverOf(project, resource.server.id);
      if (server.firewalls.has(firewall.id)) {
        throw new ApiError("firewall_already_applied", `firewall is already applied to server ${server.id}`);
      }
      checkFirewallFits(project, server);
      return () => applyToServer(project, firewall, server);
    }
    const { selector } = resource.label_selector;
    parseLabelSelector(selector);
    if (firewall.selectors.includes(selector)) {
      throw new ApiError(
        "firewall_already_applied",
        `firewall is already applied to label selector '${selector}'`,
      );
    }
    return () =>
      project.actions.start("apply_firewall", [{ id: firewall.id, type: "firewall" }], {
        finish: () => firewall.selectors.push(selector),
      });
  });
  return steps.map((step) => step());
}

/** What the firewall is not applied to is passed over: https://docs.hetzner.cloud/changelog#2025-08-04-multiple-api-behavior-changes-for-firewalls */
function remove(
  project: Project,
  firewall: FirewallRecord,
  resources: readonly FirewallResource[],
): Action[] {
  const steps = resources.map((resource) => {
    if (resource.type === "server") {
      const server = serverOf(project, resource.server.id);
      if (!server.firewalls.has(firewall.id)) {
        const selected = project.firewallsOf(server).some(({ id }) => id === firewall.id);
        if (!selected) return () => undefined;
        throw new ApiError(
          "firewall_managed_by_label_selector",
          "the firewall is applied by a label selector",
        );
      }
      const about = [
        { id: firewall.id, type: "firewall" as const },
        { id: server.id, type: "server" as const },
      ];
      return () =>
        project.actions.start("remove_firewall", about, {
          finish: () => server.firewalls.delete(firewall.id),
        });
    }
    const { selector } = resource.label_selector;
    if (!firewall.selectors.includes(selector)) return () => undefined;
    return () =>
      project.actions.start("remove_firewall", [{ id: firewall.id, type: "firewall" }], {
        finish: () => {
          firewall.selectors = firewall.selectors.filter((one) => one !== selector);
        },
      });
  });
  return steps.map((step) => step()).filter((action) => action !== undefined);
}

function isApplied(project: Project, firewall: FirewallRecord): boolean {
  return (
    firewall.selectors.length > 0 || project.holders().some((server) => server.firewalls.has(firewall.id))
  );
}

export function addFirewallRoutes(app: Hono, project: Project): void {
  const { firewalls, actions } = project;
  const views = (started: readonly Action[]) => started.map((action) => actions.view(action));

  app.get("/firewalls", (context) => {
    const rows = firewalls.all().map((firewall) => firewallView(project, firewall));
    return listAnswer(context, "firewalls", rows, ["id", "name", "created"], ["name"]);
  });
  app.post("/firewalls", async (context) => {
    const body = await readBody(context, createSchema);
    firewalls.checkNameFree(body.name);
    checkRoomInProject("firewalls", firewalls.all().length);
    const firewall: FirewallRecord = {
      id: project.nextId(),
      name: body.name,
      labels: body.labels,
      created: project.clock.date(),
      rules: body.rules,
      selectors: [],
    };
    const applied = apply(project, firewall, body.apply_to);
    firewalls.add(firewall);
    const about = [{ id: firewall.id, type: "firewall" as const }];
    const set = body.rules.length === 0 ? [] : [actions.start("set_firewall_rules", about)];
    return context.json(
      { firewall: firewallView(project, firewall), actions: views([...set, ...applied]) },
      201,
    );
  });
  app.get("/firewalls/:id{[0-9]+}", (context) =>
    context.json({ firewall: firewallView(project, firewalls.get(pathId(context))) }),
  );
  app.put("/firewalls/:id{[0-9]+}", async (context) => {
    const firewall = firewalls.get(pathId(context));
    const body = await readBody(context, updateSchema);
    if (body.name !== undefined) firewalls.checkNameFree(body.name, firewall);
    firewall.name = body.name ?? firewall.name;
    firewall.labels = body.labels ?? firewall.labels;
    return context.json({ firewall: firewallView(project, firewall) });
  });
  app.delete("/firewalls/:id{[0-9]+}", (context) => {
    const firewall = firewalls.get(pathId(context));
    if (isApplied(project, firewall)) {
      throw new ApiError("resource_in_use", "firewall is still applied to a resource");
    }
    firewalls.remove(firewall);
    return context.body(null, 204);
  });

  app.post("/firewalls/:id{[0-9]+}/actions/set_rules", async (context) => {
    const firewall = firewalls.get(pathId(context));
    const { rules } = await readBody(context, z.object({ rules: rulesSchema }));
    const before = firewall.rules;
    firewall.rules = rules;
    const set = actions.start("set_firewall_rules", [{ id: firewall.id, type: "firewall" }], {
      failed: () => {
        firewall.rules = before;
      },
    });
    const again = project.servers
      .all()
      .filter((server) => server.firewalls.has(firewall.id))
      .map((server) => applyToServer(project, firewall, server));
    return context.json({ actions: views([set, ...again]) }, 201);
  });
  app.post("/firewalls/:id{[0-9]+}/actions/apply_to_resources", async (context) => {
    const firewall = firewalls.get(pathId(context));
    const body = await readBody(context, z.object({ apply_to: z.array(resourceSchema).min(1) }));
    return context.json({ actions: views(apply(project, firewall, body.apply_to)) }, 201);
  });
  app.post("/firewalls/:id{[0-9]+}/actions/remove_from_resources", async (context) => {
    const firewall = firewalls.get(pathId(context));
    const body = await readBody(context, z.object({ remove_from: z.array(resourceSchema).min(1) }));
    return context.json({ actions: views(remove(project, firewall, body.remove_from)) }, 201);
  });
}
