/**
 * The judge between the ends: each stage made of its input what it must, all of it and nothing else. Stages repeat the
 * same bytes after a kill; while they were only replaced in order, nothing may come twice.
 */
import type { Event } from "../../../services/core/envelope.ts";
import type { Placed } from "./decode.ts";
import { type Finding, groupBy } from "./finding.ts";

/** Ids of events that must be there, against those that are. @param stage name of it for the findings. */
export function judgeStage(
  stage: string,
  expected: ReadonlySet<string>,
  found: ReadonlySet<string>,
): Finding[] {
  const missing = [...expected].filter((id) => !found.has(id));
  const surplus = [...found].filter((id) => !expected.has(id));
  return [
    ...missing.map((id) => ({ what: "stage_gap", subject: id, detail: `${stage}: nothing follows from it` })),
    ...surplus.map((id) => ({
      what: "stage_surplus",
      subject: id,
      detail: `${stage}: follows from nothing that is there`,
    })),
  ];
}

/**
 * Events that came twice although every process until then was only replaced in order.
 * @param orderlyUntil milliseconds since the epoch.
 */
export function judgeRepeats(events: readonly Placed<Event>[], orderlyUntil: number): Finding[] {
  const early = events.filter(({ record }) => Number(record.timestamp) < orderlyUntil);
  return [...groupBy(early, ({ event }) => event.event_id)].flatMap(([id, own]) =>
    own.length === 1
      ? []
      : [
          {
            what: "repeated_by_replacement",
            subject: id,
            detail: own
              .map(({ record }) => `${record.topic} ${record.partition} offset ${record.offset}`)
              .join(", "),
          },
        ],
  );
}
