/** Times: every instant is UTC text. */
import { z } from "zod";

/** An instant in UTC, `2025-10-14T13:30:00.123456789Z`; up to nanoseconds, as the venue gave it. */
export const instantString = z
  .string()
  .regex(
    /^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(\.\d{1,9})?Z$/,
    "expected an instant in UTC like 2025-10-14T13:30:00.123Z",
  );

/** An instant as text with milliseconds. @param milliseconds since the epoch. */
export function toInstant(milliseconds: number): string {
  return new Date(milliseconds).toISOString();
}

/** Milliseconds since the epoch of an {@link instantString}; finer digits are cut off. A leap second counts as the one after it. */
export function fromInstant(instant: string): number {
  return instant.slice(17, 19) === "60"
    ? Date.parse(`${instant.slice(0, 17)}59${instant.slice(19)}`) + 1_000
    : Date.parse(instant);
}
