import { EngineError } from "./errors.ts";

const milliseconds: Record<string, number> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

/**
 * Reads a duration as Go and Pulumi write it: `300ms`, `90s`, `1h30m`, `1.5h`.
 * @returns milliseconds
 * @throws EngineError `duration` when the text is none
 */
export function parseDuration(text: string): number {
  if (!/^(\d+(\.\d+)?(ms|s|m|h))+$/.test(text)) {
    throw new EngineError("duration", `"${text}" is not a duration. Write for example 90s, 10m or 1h30m.`);
  }
  let total = 0;
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)) {
    total += Number(amount) * (milliseconds[unit ?? ""] ?? 0);
  }
  return total;
}
