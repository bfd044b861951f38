import type { Hono } from "hono";
import { z } from "zod";
import { ApiError } from "../errors.ts";
import { checkRoomInProject } from "../model/limits.ts";
import type { Project } from "../model/project.ts";
import { placementGroupView } from "../model/views.ts";
import { labelsSchema, listAnswer, nameSchema, pathId, readBody, updateSchema } from "../request.ts";

const createSchema = z.object({
  name: nameSchema,
  type: z.literal("spread"),
  labels: labelsSchema.default({}),
});

export function addPlacementGroupRoutes(app: Hono, project: Project): void {
  const { placementGroups } = project;
  app.get("/placement_groups", (context) => {
    const views = placementGroups.all().map((group) => placementGroupView(project, group));
    return listAnswer(context, "placement_groups", views, ["id", "name", "created"], ["name", "type"]);
  });
  app.post("/placement_groups", async (context) => {
    const body = await readBody(context, createSchema);
    placementGroups.checkNameFree(body.name);
    checkRoomInProject("placement groups", placementGroups.all().length);
    const group = placementGroups.add({
      id: project.nextId(),
      name: body.name,
      labels: body.labels,
      created: project.clock.date(),
      type: body.type,
    });
    return context.json({ placement_group: placementGroupView(project, group), action: null }, 201);
  });
  app.get("/placement_groups/:id{[0-9]+}", (context) =>
    context.json({ placement_group: placementGroupView(project, placementGroups.get(pathId(context))) }),
  );
  app.put("/placement_groups/:id{[0-9]+}", async (context) => {
    const group = placementGroups.get(pathId(context));
    const body = await readBody(context, updateSchema);
    if (body.name !== undefined) placementGroups.checkNameFree(body.name, group);
    group.name = body.name ?? group.name;
    group.labels = body.labels ?? group.labels;
    return context.json({ placement_group: placementGroupView(project, group) });
  });
  app.delete("/placement_groups/:id{[0-9]+}", (context) => {
    const group = placementGroups.get(pathId(context));
    if (project.holders().some((server) => server.placementGroupId === group.id)) {
      throw new ApiError("resource_in_use", "placement group still has servers");
    }
    placementGroups.remove(group);
    return context.body(null, 204);
  });
}
