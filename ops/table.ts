/** Columns for people. */

/**
 * Prints rows in columns that are as wide as their widest cell.
 * @param heads one per column; a leading `>` aligns the column to the right.
 */
export function table(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const isRight = heads.map((head) => head.startsWith(">"));
  const lines = [heads.map((head) => head.replace(/^>/, "")), ...rows];
  const widths = heads.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)));
  return lines
    .map((line) =>
      line
        .map((cell, column) =>
          isRight[column] ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0),
        )
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}
