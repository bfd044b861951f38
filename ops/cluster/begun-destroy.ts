/** Whether a destroy of the state's cluster was begun and not finished: then nothing can be built on what is left. */
import type { StackState } from "../engine/stack-engine.ts";
import type { Held } from "./held.ts";

/** The gates' commands, as the program names them (stacks/trading-stack.ts, components/export-gate.ts). */
export const gateNames = {
  opening: "opening-gate-sealed-archive",
  export: "export-gate-sealed-archive",
} as const;

/**
 * Judges by the gates: a destroy removes the export gate first, then the opening gate, then the cluster; an `up` makes the
 * opening gate before the cluster can be opened, and the export gate after it.
 * @param held what the archive says of the state's cluster.
 */
export function destroyWasBegun(state: StackState, held: Held): boolean {
  if (held !== "opened" && held !== "sealed") return false;
  const has = (gate: string): boolean => state.resources.some(({ name }) => name === gate);
  if (!has(gateNames.opening)) return true;
  // Opened and not sealed without an export gate: an `up` that was killed before it came to the gate.
  return held === "sealed" && !has(gateNames.export);
}

/** Whether a failure is the refusal of a gate. */
export function isGate(name: string | undefined): boolean {
  return name === gateNames.opening || name === gateNames.export;
}
