/** The relay's events, in the two shapes in which they are known to come. */

/**
 * "documentation": `method` is "subscribe" and the fields stand in `params`. "solver": as the example solver's code reads
 * them, `method` is "event" and the fields stand in `params.data`. "mixed": one or the other, by the event's id.
 */
export const eventShapes = ["documentation", "solver", "mixed"] as const;
export type EventShape = (typeof eventShapes)[number];

/**
 * An event's text. One thing always comes in the same shape.
 * @param id of what the event tells.
 * @param to the subscription; `undocumented` when the documentation shows such events without its id.
 */
export function eventText(
  shape: EventShape,
  id: string,
  fields: object,
  { subscription, undocumented = false }: { subscription: string; undocumented?: boolean },
): string {
  const sum = [...id].reduce((total, character) => total + character.charCodeAt(0), 0);
  const isDocumented = shape === "documentation" || (shape === "mixed" && sum % 2 === 0);
  return JSON.stringify(
    isDocumented
      ? {
          jsonrpc: "2.0",
          method: "subscribe",
          params: undocumented ? fields : { subscription, ...fields },
        }
      : {
          jsonrpc: "2.0",
          method: "event",
          params: { subscription, data: fields, metadata: { partner_id: "lab" } },
        },
  );
}
