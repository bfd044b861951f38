/**
 * The venues' books against our own results: the judge of promise 1. What a venue executed must have been reported
 * once, as it was executed, and nothing may be reported that the venue did not execute.
 */
import { Decimal } from "decimal.js";
import type { World } from "./world.ts";

/** One execution in a venue's book. */
export interface Execution {
  /** The id that the order carries from us: `client_order_id`, the quote's hash. */
  order: string;
  /** What was exchanged, in the words of {@link ReportedExecution}. */
  amount: string;
  /** What must not be executed twice, when that is not the order: the quote that an offer answers. */
  action?: string;
}

/** A venue's book at the end of the day. */
export interface VenueBook {
  venue: string;
  executions: readonly Execution[];
  /** Orders that the venue was sent again after it had taken them, refused or not. */
  repeated: number;
}

/** What a result says was executed. */
export interface ReportedExecution {
  venue: string;
  order: string;
  /** Shares, or base units `<received> for <given>`. */
  amount: string;
  command: string;
  status: string;
}

/** What the comparison found. */
export interface BookCheck {
  venue: string;
  executed: number;
  /** Executions beyond the first of one order or action, and orders sent again. */
  twice: number;
  /** One sentence for each execution without its result and each result without its execution. */
  differences: string[];
}

/** The books of the lab's venues as they stand now. */
export function readBooks({ alpaca, near }: Pick<World, "alpaca" | "near">): VenueBook[] {
  const book = near.book();
  return [
    {
      venue: "near-intents",
      executions: book.settled.map(({ quoteHash, quoteId, signerId, diff }) => {
        const received = Object.values(diff).find((amount) => !amount.startsWith("-"));
        const given = Object.values(diff).find((amount) => amount.startsWith("-"));
        return {
          order: quoteHash,
          amount: `${received} for ${given?.slice(1)}`,
          action: `${quoteId} ${signerId}`,
        };
      }),
      repeated: book.duplicates,
    },
    {
      venue: "alpaca",
      executions: alpaca
        .orders()
        .filter(({ filled_qty }) => Number(filled_qty) > 0)
        .map(({ client_order_id, filled_qty }) => ({ order: client_order_id, amount: filled_qty })),
      repeated: alpaca.duplicateOrders(),
    },
  ];
}

/** Compares one venue's book with the results of all venues. */
export function compareBook(book: VenueBook, reported: readonly ReportedExecution[]): BookCheck {
  const { venue, executions } = book;
  const own = new Map(reported.filter((one) => one.venue === venue).map((one) => [one.order, one]));
  const executed = new Map(executions.map((execution) => [execution.order, execution]));
  const actions = new Set(executions.map(({ action, order }) => action ?? order));
  const differences: string[] = [];
  for (const { order, amount } of executed.values()) {
    const result = own.get(order);
    if (result === undefined) differences.push(`${venue} executed ${order} (${amount}), no result says so`);
    else if (!isSameAmount(result.amount, amount))
      differences.push(
        `${venue} executed ${amount} of ${order}, the result of command ${result.command} says ${result.amount}`,
      );
  }
  for (const { order, command, status } of own.values()) {
    if (!executed.has(order))
      differences.push(
        `command ${command} is ${status} at ${venue}, whose book has no execution of ${order}`,
      );
  }
  return {
    venue,
    executed: executions.length,
    twice: executions.length - actions.size + book.repeated,
    differences,
  };
}

/** Shares may be printed with or without a fraction of zeros. */
function isSameAmount(one: string, other: string): boolean {
  if (one.includes(" ") || other.includes(" ")) return one === other;
  return new Decimal(one).equals(other);
}
