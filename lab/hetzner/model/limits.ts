/** Limits that the API documents. */
import { ApiError } from "../errors.ts";
import type { Project } from "./project.ts";

/** https://docs.hetzner.com/cloud/firewalls/overview#limits */
export const firewallLimits = { rules: 50, rangesPerRule: 100, firewallsPerServer: 5 } as const;

/** A spread group holds this many servers: https://docs.hetzner.com/cloud/placement-groups/overview/ */
export const placementGroupSize = 10;

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
