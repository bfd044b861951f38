/**
 * The states of a command and the steps between them (DESIGN §4). A terminal state is never left; UNKNOWN is
 * left only by the venue's answer. CARRIED_OVER is the end in this cluster alone: the order rests at the venue, and the
 * next cluster, whose journal begins with it as SUBMITTED, reports its result.
 */
import { journalEntry, type JournalEntry, terminalStatus, type TerminalStatus } from "../core/trading.ts";

/** RECEIVED is not written down: a command without an entry has been received at most. */
export type CommandState = "RECEIVED" | JournalEntry["state"];

/** All states, terminal ones last. */
export const commandStates: readonly CommandState[] = ["RECEIVED", ...journalEntry.shape.state.options];

const next: Record<CommandState, readonly CommandState[]> = {
  // Without an intent nothing was sent, so only our own refusals are possible.
  RECEIVED: ["INTENT", "DENIED", "EXPIRED"],
  INTENT: ["SUBMITTED", "UNKNOWN", ...terminalStatus.options],
  SUBMITTED: ["UNKNOWN", "CARRIED_OVER", "FILLED", "REJECTED", "CANCELED", "EXPIRED"],
  UNKNOWN: ["FILLED", "REJECTED", "CANCELED", "EXPIRED"],
  CARRIED_OVER: [],
  FILLED: [],
  REJECTED: [],
  CANCELED: [],
  EXPIRED: [],
  DENIED: [],
};

/** A step that the state machine does not have: a bug, or a journal that two executors wrote. */
export class IllegalTransitionError extends Error {
  constructor(commandId: string, from: CommandState, to: CommandState) {
    super(`command ${commandId}: no step from ${from} to ${to}, allowed: ${next[from].join(", ") || "none"}`);
    this.name = "IllegalTransitionError";
  }
}

/** Whether a command that is in this state stays there. */
export function isTerminal(state: CommandState): state is TerminalStatus {
  return (terminalStatus.options as readonly string[]).includes(state);
}

/** Whether the step exists. */
export function canMove(from: CommandState, to: CommandState): boolean {
  return next[from].includes(to);
}

/** Takes the step. @throws IllegalTransitionError when it does not exist. */
export function move(commandId: string, from: CommandState, to: CommandState): CommandState {
  if (!canMove(from, to)) throw new IllegalTransitionError(commandId, from, to);
  return to;
}
