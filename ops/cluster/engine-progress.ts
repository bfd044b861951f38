/**
 * An engine's run as lines for people: what matters when it is done, with the time since the beginning, and now and then
 * what is under way and how long.
 */
import type { StackEvent } from "../engine/stack-engine.ts";
import { milestoneOf } from "./milestones.ts";
import type { Reporter } from "./parts.ts";

/** Names shown of what is under way. */
const shown = 4;
/** What takes long is no silence: progress is told so often, in milliseconds, also when nothing begins or ends. */
const tickMs = 2_000;

/** Runs with a listener that tells. @param what for example `up` */
export async function withEngineProgress<T>(
  what: string,
  reporter: Reporter,
  run: (onEvent: (event: StackEvent) => void) => Promise<T>,
): Promise<T> {
  const began = performance.now();
  const secondsFrom = (moment: number): number => Math.round((performance.now() - moment) / 1_000);
  /** By type and name: when it began. */
  const underWay = new Map<string, { name: string; began: number }>();
  let done = 0;
  const tell = (): void => {
    // The map keeps the order of the beginnings: what takes longest comes first.
    const names = [...underWay.values()].map((each) => `${each.name} ${secondsFrom(each.began)} s`);
    const more = names.length > shown ? ` and ${names.length - shown} more` : "";
    const rest = names.length === 0 ? "" : `, under way: ${names.slice(0, shown).join(", ")}${more}`;
    reporter.progress(`${what} ${secondsFrom(began)} s: ${done} done${rest}`);
  };
  const timer = setInterval(tell, tickMs);
  try {
    return await run((event) => {
      if (event.kind === "line") {
        // Errors stand, by resource, in what the run throws.
        if (event.severity === "warning") reporter.note(`${what}: ${event.text}`);
        else if (event.severity === "info") reporter.progress(`${what}: ${event.text}`);
        return;
      }
      const { status, type, name } = event;
      const key = `${type} ${name}`;
      if (status === "started") underWay.set(key, { name, began: performance.now() });
      else {
        const begun = underWay.get(key);
        underWay.delete(key);
        if (status === "done") {
          done += 1;
          const milestone = milestoneOf(event);
          const took = begun === undefined ? "" : ` (${secondsFrom(begun.began)} s)`;
          if (milestone !== undefined) reporter.note(`${what} ${secondsFrom(began)} s: ${milestone}${took}`);
        }
      }
      tell();
    });
  } finally {
    clearInterval(timer);
  }
}
