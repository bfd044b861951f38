/** How figures are shown. */
import { describeTarget, meets, type Target } from "./targets.ts";

/** A Markdown table whose columns line up: reads well in a terminal too. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((cell, column) =>
    Math.max(3, cell.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  const line = (cells: readonly string[]) =>
    `| ${widths.map((width, column) => (cells[column] ?? "").padEnd(width)).join(" | ")} |`;
  return [line(head), line(widths.map((width) => "-".repeat(width))), ...rows.map(line)].join("\n");
}

/** Two cells: the target, and whether a figure keeps to it; empty without a target. */
export const verdict = (target: Target | undefined, figure: number): [string, string] =>
  target === undefined ? ["", ""] : [describeTarget(target), meets(target, figure) ? "met" : "MISSED"];
