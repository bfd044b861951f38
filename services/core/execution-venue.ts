/**
 * The contract between the venue-neutral executor and the venues, which do not know each other.
 */
import type {
  AccountSnapshot,
  ExecuteTrade,
  FilledAmounts,
  Reason,
  TerminalStatus,
  VenueReference,
} from "./trading.ts";

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

/**
 * Asked right before an order's bytes are written: much may have happened since it was allowed.
 * @returns why it must not be sent any more; undefined when it may.
 */
export type MayStillSend = () => Reason | undefined;

/** An order, made but not sent. */
export interface PreparedOrder {
  /** What the venue knows it by; written to the journal before it is sent. */
  readonly reference: VenueReference;
  /** What it trades, as risk limits name it: the symbol, or the assets of a swap. */
  readonly symbols: readonly string[];
  /** Money at stake in the account's currency, as a decimal; undefined where nobody can tell before the fill. */
  readonly notional: string | undefined;
  /**
   * Sends it, once, unless the command's deadline has passed. Never throws for what the venue or the network does.
   * @param mayStillSend asked last, when nothing has to be waited for any more (a connection, a budget): with the reason
   * it gives, the order is `not_sent`.
   */
  submit(mayStillSend: MayStillSend): Promise<Submission>;
}

/** The venue's market hours and clock. */
export interface MarketClock {
  /** The venue's own time, milliseconds since the epoch. */
  now: number;
  /** Whether orders may be executed now; venues that never close say true. */
  isOpen: boolean;
}

/** A fill that the venue reports for one of our orders. */
export interface ReportedFill {
  /** The id that the order carries from us, one of the values of its prepared reference: `client_order_id`, quote hash. */
  orderId: string;
  /** All that was filled of it so far. */
  filled: FilledAmounts;
  reference: VenueReference;
}

/** How an order stands at the venue. */
export interface OrderStanding {
  /** All that was filled of it so far. */
  filled: FilledAmounts;
  /** Whether it may still be filled. */
  isResting: boolean;
}

/** A venue's executing side. */
export interface ExecutionVenue {
  /** As in the commands' `venue`. */
  readonly name: string;
  /**
   * After a command's deadline, how long an order that was sent in time may still become visible, in milliseconds:
   * "not there" counts only then.
   */
  readonly graceMs: number;
  /**
   * Makes the order of a command: without side effects, the same for the same command.
   * @throws RefusedCommandError when the command cannot be executed here.
   */
  prepare(command: ExecuteTrade): PreparedOrder;
  /**
   * Finds out how an order ended: waits for the venue's word, and asks where none comes. An order that the venue does
   * not know is EXPIRED (reason `not_found`) once the deadline and the grace time have passed, not earlier.
   * @param missed the order may be from an earlier life of this process: its news may have been missed.
   * @param signal aborts the wait (rejects); the order's end stays open.
   */
  settle(
    command: ExecuteTrade,
    reference: VenueReference,
    missed: boolean,
    signal: AbortSignal,
  ): Promise<Settlement>;
  /**
   * Asks the venue to end an order that may rest there; how it ended still comes through {@link settle}. Absent where
   * orders end by their deadline anyway. Resolves also when there was nothing to cancel; throws nothing.
   */
  cancel?(command: ExecuteTrade, reference: VenueReference): Promise<void>;
  /**
   * How an order stands now; undefined when the venue does not know it. Absent where orders never rest beyond their
   * deadline: such a venue's orders are not carried over to another day.
   * @throws Error when it cannot be learnt before the signal.
   */
  standing?(
    command: ExecuteTrade,
    reference: VenueReference,
    signal: AbortSignal,
  ): Promise<OrderStanding | undefined>;
  /** What the account holds; absent where the venue does not tell. @throws Error when it cannot be learnt. */
  account?(): Promise<AccountSnapshot>;
  /** Market hours and clock; absent where the venue tells neither. @throws Error when it cannot be learnt. */
  clock?(): Promise<MarketClock>;
  /**
   * Calls `listener` for every fill that is reported, also for orders that nobody waits for any more. It may be called
   * again for the same fill: whose order it is may be known only later, when a partition's journal has been read.
   */
  onFill?(listener: (fill: ReportedFill) => void): void;
  /** Ends the connections. */
  close(): Promise<void>;
}

/** Nothing was exchanged. */
export function nothingFilled({ instruction }: Pick<ExecuteTrade, "instruction">): FilledAmounts {
  return instruction.kind === "answer_swap"
    ? { kind: "swap", amount_in: "0", amount_out: "0" }
    : { kind: "order", quantity: "0" };
}
