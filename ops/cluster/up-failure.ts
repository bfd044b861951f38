/** What a failed `up` calls for. */
import { exclusionOf, type RankedChoice } from "../../components/capacity.ts";
import type { StackEngineError } from "../engine/stack-engine.ts";

/**
 * `capacity`: no stock, or no room for a spread placement: another choice may do. `name`: something has the name already.
 * `limit`: the account's limit, which no other choice changes. `program`: nothing failed but the program itself, so its
 * message is about the configuration. `other`: anything else.
 */
export type UpFailure = "capacity" | "name" | "limit" | "program" | "other";

/** Codes of the Hetzner API (https://docs.hetzner.cloud/reference/cloud#errors), and the lab engine's own for a taken name. */
const kindOfCode: Readonly<Record<string, UpFailure>> = {
  resource_unavailable: "capacity",
  placement_error: "capacity",
  uniqueness_error: "name",
  "name-taken": "name",
  resource_limit_exceeded: "limit",
};

/** Judges a failed run: the account's limit before stock, stock before names. */
export function judgeUpFailure({ failures }: StackEngineError): UpFailure {
  if (failures.every(({ name }) => name === undefined)) return "program";
  const kinds = failures.map(({ code = "" }) => kindOfCode[code] ?? "other");
  for (const kind of ["limit", "capacity", "name"] as const) if (kinds.includes(kind)) return kind;
  return "other";
}

/** What to exclude so that the servers which could not be had are not asked for again. */
export function exclusionsFor({ failures }: StackEngineError, choice: RankedChoice): string[] {
  const refused = failures.filter(({ code = "" }) => kindOfCode[code] === "capacity");
  // The servers are called nodes-<node name> in the program.
  const roles = refused.map(({ name = "" }) => (name.includes("k3s-control") ? "k3s-control" : "kafka"));
  return [...new Set(roles.map((role) => exclusionOf(choice, role)))];
}
