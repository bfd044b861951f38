/** What a judge found. */

/** One thing that is not as it must be. */
export interface Finding {
  /** A fixed word for the kind, for example `executed_twice`. */
  what: string;
  /** Whom it concerns: a command id, an event id, a record's place. */
  subject: string;
  /** What was found and what was expected. */
  detail: string;
}

/** Groups things by a name that each has. */
export function groupBy<Thing>(
  things: Iterable<Thing>,
  name: (thing: Thing) => string,
): Map<string, Thing[]> {
  const groups = new Map<string, Thing[]>();
  for (const thing of things) {
    const group = groups.get(name(thing));
    if (group === undefined) groups.set(name(thing), [thing]);
    else group.push(thing);
  }
  return groups;
}
