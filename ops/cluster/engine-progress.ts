/** An engine's events as lines for people. */
import type { StackEvent } from "../engine/stack-engine.ts";
import type { Reporter } from "./parts.ts";

/** Names shown of what is under way. */
const shown = 4;

/** Makes the listener of one run. @param what for example `up` */
export function engineProgress(what: string, reporter: Reporter): (event: StackEvent) => void {
  const underWay = new Set<string>();
  let done = 0;
  return (event) => {
    if (event.kind === "line") {
      // Errors stand, by resource, in what the run throws.
      if (event.severity === "warning") reporter.note(`${what}: ${event.text}`);
      else if (event.severity === "info") reporter.progress(`${what}: ${event.text}`);
      return;
    }
    if (event.status === "started") underWay.add(event.name);
    else if (underWay.delete(event.name) && event.status === "done") done++;
    const names = [...underWay].slice(0, shown).join(", ");
    const more = underWay.size > shown ? ` and ${underWay.size - shown} more` : "";
    const rest = underWay.size === 0 ? "" : `, under way: ${names}${more}`;
    reporter.progress(`${what}: ${done} done${rest}`);
  };
}
