/**
 * The contract between the venue-neutral executor and the venues, which do not know each other.
 */
import type { ExecuteTrade, FilledAmounts, Reason, TerminalStatus, VenueReference } from "./trading.ts";

/** The venue's part does not accept a command, and nothing has been sent: it ends DENIED. */
export class RefusedCommandError extends Error {
  readonly reason: Reason;

  constructor(code: string, message: string) {
    super(message);
    this.name = "RefusedCommandError";
    this.reason = { code, message };
  }
}

/** What came of sending an order. */
export type Submission =
  /** The venue took it; how it ends is not known yet. */
  | { outcome: "accepted" }
  /** The venue refused it for good. */
  | { outcome: "rejected"; reason: Reason }
  /** It certainly did not leave this process. */
  | { outcome: "not_sent"; reason: Reason }
  /** It may or may not have arrived: only the venue can tell. */
  | { outcome: "unknown"; reason: Reason };

/** How an order ended, by the venue's word. */
export interface Settlement {
  status: Exclude<TerminalStatus, "DENIED">;
  /** Absent when FILLED. */
  reason?: Reason;
  filled: FilledAmounts;
  /** What the venue calls it, in addition to the prepared reference. */
  reference: VenueReference;
}

/** An order, made but not sent. */
export interface PreparedOrder {
  /** What the venue knows it by; written to the journal before it is sent. */
  readonly reference: VenueReference;
  /** Sends it, once. Never throws for what the venue or the network does. */
  submit(): Promise<Submission>;
}

/** A venue's executing side. */
export interface ExecutionVenue {
  /** As in the commands' `venue`. */
  readonly name: string;
  /**
   * Makes the order of a command: without side effects, the same for the same command.
   * @throws RefusedCommandError when the command cannot be executed here.
   */
  prepare(command: ExecuteTrade): PreparedOrder;
  /**
   * Finds out how an order ended: waits for the venue's word, and asks where none comes.
   * @param missed the order may be from an earlier life of this process: its news may have been missed.
   * @param signal aborts the wait (rejects); the order's end stays open.
   */
  settle(
    command: ExecuteTrade,
    reference: VenueReference,
    missed: boolean,
    signal: AbortSignal,
  ): Promise<Settlement>;
  /** Ends the connections. */
  close(): Promise<void>;
}

/** Nothing was exchanged. */
export function nothingFilled({ instruction }: Pick<ExecuteTrade, "instruction">): FilledAmounts {
  return instruction.kind === "answer_swap"
    ? { kind: "swap", amount_in: "0", amount_out: "0" }
    : { kind: "order", quantity: "0" };
}
