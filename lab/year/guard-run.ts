/** One run of `trading guard` as a CI would start it, by its library. */
import { closeDay } from "../../ops/day/close-day.ts";
import { guardStack } from "../../ops/guard/guard.ts";
import { openNotifier } from "../../ops/notify/notifier.ts";
import { type DayJobArguments, deliveryPatience, withParts } from "./job-run.ts";

/** Arguments of {@link runGuard}. */
export interface GuardRunArguments extends DayJobArguments {
  /** `--close`. */
  close: boolean;
}

/**
 * Runs it.
 * @returns what it found, or a text that begins with `fine`
 * @throws what guardStack throws
 */
export async function runGuard(args: GuardRunArguments): Promise<string> {
  return withParts(args, async (parts) => {
    const { calendar, environment, note, signal, close } = args;
    const notifier = openNotifier({ environment, reporter: { note }, signal, patience: deliveryPatience });
    const { findings, closed, notClosed } = await guardStack(
      { ...parts, calendar, notifier, deadlineMinutes: calendar.schedule.deadlineMinutes },
      { close: close ? (told, stillDue) => closeDay(parts, { notifier: told, stillDue }) : undefined },
    );
    if (findings.length === 0) return "fine";
    return [
      `found ${findings.map(({ kind, told }) => `${kind}${told ? " (told)" : ""}`).join(", ")}`,
      ...closed.map((name) => `closed ${name}`),
      ...notClosed.map((reason) => `not closed: ${reason.split("\n", 1)[0] ?? ""}`),
    ].join("; ");
  });
}
