/** GET of actions: all by id, and those of a kind or of one resource. */
import type { Hono } from "hono";
import { ApiError, notFound } from "../errors.ts";
import type { Action, ResourceKind } from "../model/actions.ts";
import type { Project } from "../model/project.ts";
import { listAnswer, pathId } from "../request.ts";

const sortable = ["id", "command", "status", "started", "finished"];
const isAbout = (action: Action, kind: ResourceKind, id?: number) =>
  action.resources.some((resource) => resource.type === kind && (id === undefined || resource.id === id));

export function addActionRoutes(app: Hono, project: Project): void {
  const one = (id: number, fits: (action: Action) => boolean) => {
    const action = project.actions.get(id);
    if (action === undefined || !fits(action)) throw notFound("action", id);
    return { action: project.actions.view(action) };
  };

  app.get("/actions", (context) => {
    // Listing all actions was removed: https://docs.hetzner.cloud/changelog#2025-01-30-listing-arbitrary-actions-in-the-actions-list-endpoint-is-removed
    if ((context.req.queries("id") ?? []).length === 0) {
      throw new ApiError("deprecated_api_endpoint", "listing all actions was removed: name them with ?id=");
    }
    const actions = project.actions.all().map((action) => project.actions.view(action));
    return listAnswer(context, "actions", actions, sortable, ["id", "status"]);
  });
  app.get("/actions/:id{[0-9]+}", (context) => context.json(one(pathId(context), () => true)));

  const kinds = [
    ["servers", "server"],
    ["networks", "network"],
    ["firewalls", "firewall"],
    ["primary_ips", "primary_ip"],
    ["images", "image"],
  ] as const;
  for (const [path, kind] of kinds) {
    const list = (id?: number) =>
      project.actions
        .all()
        .filter((action) => isAbout(action, kind, id))
        .map((action) => project.actions.view(action));
    app.get(`/${path}/actions`, (context) =>
      listAnswer(context, "actions", list(), sortable, ["id", "status"]),
    );
    app.get(`/${path}/actions/:id{[0-9]+}`, (context) =>
      context.json(one(pathId(context), (action) => isAbout(action, kind))),
    );
    app.get(`/${path}/:id{[0-9]+}/actions`, (context) => {
      project.checkExists(kind, pathId(context));
      return listAnswer(context, "actions", list(pathId(context)), sortable, ["status"]);
    });
    app.get(`/${path}/:id{[0-9]+}/actions/:action{[0-9]+}`, (context) => {
      project.checkExists(kind, pathId(context));
      return context.json(one(pathId(context, "action"), (action) => isAbout(action, kind, pathId(context))));
    });
  }
}
