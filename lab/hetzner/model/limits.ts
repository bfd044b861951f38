/** Limits that the API documents. */
import { ApiError } from "../errors.ts";
import type { Project } from "./project.ts";

/** https://docs.hetzner.com/cloud/firewalls/overview#limits */
export const firewallLimits = { rules: 50, rangesPerRule: 100, firewallsPerServer: 5 } as const;

/** A spread group holds this many servers: https://docs.hetzner.com/cloud/placement-groups/overview/ */
export const placementGroupSize = 10;

/** A project holds this many of each: https://docs.hetzner.com/networking/firewalls/overview and .../placement-groups/overview */
const mostPerProject = { firewalls: 50, "placement groups": 50 } as const;

/** @throws ApiError `resource_limit_exceeded` when the project holds as many as it may */
export function checkRoomInProject(kind: keyof typeof mostPerProject, held: number): void {
  const most = mostPerProject[kind];
  if (held >= most) throw new ApiError("resource_limit_exceeded", `a project has at most ${most} ${kind}`);
}

/** @throws ApiError `placement_error` when the group is full */
export function checkRoomInGroup(project: Project, groupId: number): void {
  const held = project.holders().filter((server) => server.placementGroupId === groupId).length;
  if (held >= placementGroupSize) {
    throw new ApiError(
      "placement_error",
      `a spread placement group holds at most ${placementGroupSize} servers`,
    );
  }
}
