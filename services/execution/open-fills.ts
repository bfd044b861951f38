/** What the venue has filled of commands that have not ended. */
import { setTimeout as delay } from "node:timers/promises";
import type { ExecutionVenue } from "../core/execution-venue.ts";
import type { ServiceContext } from "../core/service.ts";
import { Fills } from "./account.ts";
import type { OpenCommand } from "./journal.ts";

/** Arguments of {@link openFills}. */
export interface OpenFillsOptions {
  venue: Pick<ExecutionVenue, "name" | "standing">;
  open: readonly Pick<OpenCommand, "event" | "reference">[];
  context: Pick<ServiceContext, "logger">;
  /** Called before each question, so that a venue that does not answer does not look like a loop that hangs. */
  progress: () => void;
  signal: AbortSignal;
  /** Longest time for one question, in milliseconds; then it is asked again. Default 10,000. */
  answerMs?: number;
  /** Pause before it is asked again, in milliseconds. Default 1,000. */
  askAgainMs?: number;
}

/** Asks for one order after the other, each until the venue tells. @throws the signal's reason. */
export async function openFills(options: OpenFillsOptions): Promise<Fills> {
  const { venue, open, context, progress, signal, answerMs = 10_000, askAgainMs = 1_000 } = options;
  const fills = new Fills();
  if (venue.standing === undefined) return fills;
  for (const { event, reference } of open) {
    for (;;) {
      signal.throwIfAborted();
      progress();
      try {
        const limit = AbortSignal.any([signal, AbortSignal.timeout(answerMs)]);
        const standing = await venue.standing(event.payload, reference, limit);
        if (standing !== undefined) fills.add(event.payload, standing.filled);
        break;
      } catch (error) {
        signal.throwIfAborted();
        const { command_id } = event.payload;
        context.logger.warn({ err: error, venue: venue.name, command_id }, "how an order stands is not told");
      }
      await delay(askAgainMs, undefined, { signal });
    }
  }
  return fills;
}
