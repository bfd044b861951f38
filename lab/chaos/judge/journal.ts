/** The judge of the journal: what it holds of a command are legal steps, and they agree with the result. */
import type { Event } from "../../../services/core/envelope.ts";
import type { JournalEntry, TradeResult } from "../../../services/core/trading.ts";
import { type CommandState, canMove, isTerminal } from "../../../services/execution/state.ts";
import type { Placed } from "./decode.ts";
import { type Finding, groupBy } from "./finding.ts";

/** What the journal tells. */
export interface JournalVerdict {
  violations: Finding[];
  /** Command id by what its order is called at the venue: every value of the INTENT's reference. */
  owners: Map<string, string>;
  /** When each INTENT was written, by command id, milliseconds since the epoch. */
  intentAt: Map<string, number>;
  /** The last state of each command. */
  lastStates: Map<string, CommandState>;
}

/** States that a successor may write again, because it cannot know of the first. */
const repeatable: ReadonlySet<CommandState> = new Set(["SUBMITTED", "UNKNOWN"]);

/** Judges the entries of all commands. */
export function judgeJournal(
  entries: readonly Placed<Event<JournalEntry>>[],
  results: readonly Placed<Event<TradeResult>>[],
): JournalVerdict {
  const verdict: JournalVerdict = {
    violations: [],
    owners: new Map(),
    intentAt: new Map(),
    lastStates: new Map(),
  };
  const violation = (what: string, subject: string, detail: string): void => {
    verdict.violations.push({ what, subject, detail });
  };
  for (const [id, own] of groupBy(entries, ({ event }) => event.payload.command_id)) {
    if (new Set(own.map(({ record }) => record.partition)).size > 1) {
      violation("journal_partitions", id, "the entries of one command stand in several partitions");
    }
    let state: CommandState = "RECEIVED";
    let epoch = 0;
    const story = own.map(({ event: { payload } }) => `${payload.state}@${payload.epoch}`).join(" ");
    for (const { event, record } of own) {
      const { payload } = event;
      const isRepeat = payload.state === state && repeatable.has(state);
      if (!isRepeat && !canMove(state, payload.state)) {
        violation("illegal_step", id, `from ${state} to ${payload.state} in: ${story}`);
      }
      if (payload.epoch < epoch) {
        violation("older_epoch", id, `epoch ${payload.epoch} wrote behind epoch ${epoch} in: ${story}`);
      }
      epoch = Math.max(epoch, payload.epoch);
      state = payload.state;
      if (payload.state !== "INTENT") continue;
      for (const reference of Object.values(payload.reference ?? {})) verdict.owners.set(reference, id);
      if (!verdict.intentAt.has(id)) verdict.intentAt.set(id, Number(record.timestamp));
    }
    verdict.lastStates.set(id, state);
  }
  for (const { event } of results) {
    const { command_id, status } = event.payload;
    const state = verdict.lastStates.get(command_id);
    // What was refused without an intent needs no entry.
    if (state === undefined && (status === "DENIED" || status === "EXPIRED")) continue;
    if (state === undefined || !isTerminal(state) || state !== status) {
      violation(
        "result_differs",
        command_id,
        `the result is ${status}, the journal ends with ${state ?? "nothing"}`,
      );
    }
  }
  return verdict;
}
