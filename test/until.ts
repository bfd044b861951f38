import { setTimeout as delay } from "node:timers/promises";

/** Waits until `condition` gives something true. @throws Error after `deadlineMs`, naming `what`. */
export async function until<Value>(
  what: string,
  condition: () => Value | Promise<Value>,
  deadlineMs = 60_000,
): Promise<NonNullable<Value>> {
  const end = performance.now() + deadlineMs;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (performance.now() > end) throw new Error(`not in ${deadlineMs / 1_000} s: ${what}`);
    await delay(20);
  }
}
