/**
 * The judge of promise 1: a command is executed at most once, whatever is killed, and has exactly one result. The
 * venues' books are the truth about what was executed; the journal tells which order belongs to which command.
 */
import type { Event } from "../../../services/core/envelope.ts";
import type {
  ExecuteTrade,
  JournalEntry,
  Reconciliation,
  TradeResult,
} from "../../../services/core/trading.ts";
import type { Order } from "../../venues/alpaca/order.ts";
import type { IntentBook } from "../../venues/near/auction.ts";
import type { Placed } from "./decode.ts";
import { type Finding, groupBy } from "./finding.ts";
import { judgeJournal } from "./journal.ts";

/** What is judged. */
export interface CommandEvidence {
  commands: readonly Placed<Event<ExecuteTrade>>[];
  journal: readonly Placed<Event<JournalEntry>>[];
  results: readonly Placed<Event<TradeResult>>[];
  reconciliation: readonly Placed<Event<Reconciliation>>[];
  /** Alpaca's book, and how often an order id was sent again, refused or not. */
  orders: readonly Order[];
  repeatedOrders: number;
  near: IntentBook;
  /** When an executor of a venue stood still, milliseconds since the epoch. */
  freezes: readonly { venue: string; from: number; to: number }[];
}

/** A command that was not executed, out of caution. */
export interface GivenUp {
  command_id: string;
  venue: string;
  status: TradeResult["status"];
  /** The result's fixed word. */
  reason: string;
}

/** The verdict. */
export interface CommandVerdict {
  /** Distinct commands, canaries left out. */
  commands: number;
  /** Executed or answered more than once. */
  duplicates: Finding[];
  /** Without a result. */
  lost: Finding[];
  givenUp: GivenUp[];
  /** Whatever else is not as it must be. */
  violations: Finding[];
  /** Results by status. */
  statuses: Record<string, number>;
  /** Orders that the venues executed. */
  executed: number;
  /**
   * Commands whose executor stood still between INTENT and the venue: intended shortly before, and until it woke up the
   * venue had nothing. Not a finding: it tells whether the run tried what it is there to try.
   */
  caught: number;
  /** Fills that came after a terminal result and were reported as such: named, for a person has to look. */
  lateFills: string[];
}

/** One execution in a venue's book. */
interface Execution {
  /** What the order carries from us. */
  orderId: string;
  venue: string;
  /** When the venue took or settled it, milliseconds since the epoch. */
  at: number;
  order?: Order;
  settled?: IntentBook["settled"][number];
}

/** Judges all commands of a run. */
export function judgeCommands(evidence: CommandEvidence): CommandVerdict {
  const commands = new Map(
    evidence.commands
      .filter(({ event }) => event.payload.instruction.kind !== "canary")
      .map(({ event }) => [event.payload.command_id, event]),
  );
  const results = groupBy(
    evidence.results.filter(({ event }) => event.payload.reason?.code !== "canary"),
    ({ event }) => event.payload.command_id,
  );
  const journal = judgeJournal(evidence.journal, evidence.results);
  const verdict: CommandVerdict = {
    commands: commands.size,
    duplicates: [],
    lost: [],
    givenUp: [],
    violations: [...journal.violations],
    statuses: {},
    executed: 0,
    caught: 0,
    lateFills: [],
  };

  for (const [id, { venue, payload }] of commands) {
    const own = results.get(id) ?? [];
    if (own.length === 0) {
      const last = journal.lastStates.get(id) ?? "no journal entry";
      verdict.lost.push({ what: "no_result", subject: id, detail: `${venue} ${payload.strategy}: ${last}` });
    }
    if (own.length > 1) {
      verdict.duplicates.push({
        what: "answered_twice",
        subject: id,
        detail: `${own.length} results: ${own.map(({ event }) => event.payload.status).join(", ")}`,
      });
    }
  }
  for (const [id, own] of results) {
    if (!commands.has(id)) {
      verdict.violations.push({
        what: "result_without_command",
        subject: id,
        detail: `${own.length} results`,
      });
    }
    const [first] = own;
    if (first !== undefined) count(verdict, first.event);
  }
  verdict.caught = caught(evidence, journal.intentAt, journal.owners);
  judgeExecutions(evidence, journal.owners, journal.intentAt, results, verdict);
  return verdict;
}

function count(verdict: CommandVerdict, { venue, payload }: Event<TradeResult>): void {
  const { status, reason, command_id } = payload;
  verdict.statuses[status] = (verdict.statuses[status] ?? 0) + 1;
  if (status === "EXPIRED" || status === "DENIED") {
    const code = reason?.code ?? "no reason";
    verdict.givenUp.push({ command_id, venue, status, reason: code });
    // Nobody differs from the venue's account and nobody stops trading here: else a run could be "ok" that trades nothing.
    if (code === "account_mismatch" || code === "kill_switch") {
      verdict.violations.push({ what: "trading_stopped", subject: command_id, detail: `${venue}: ${code}` });
    }
  }
}

/** What the venues executed, against what the journal intended and the results say. */
function judgeExecutions(
  evidence: CommandEvidence,
  owners: ReadonlyMap<string, string>,
  intentAt: ReadonlyMap<string, number>,
  results: ReadonlyMap<string, readonly Placed<Event<TradeResult>>[]>,
  verdict: CommandVerdict,
): void {
  const executions = executionsOf(evidence);
  verdict.executed = executions.length;
  const lateFills = new Set(
    evidence.reconciliation.flatMap(({ event: { payload } }) =>
      payload.kind === "late_fill" ? [payload.command_id] : [],
    ),
  );
  for (const { client_order_id, created_at } of evidence.orders) {
    judgeIntent(client_order_id, Date.parse(created_at), owners, intentAt, verdict);
  }
  for (const { quoteHash, settledAt } of evidence.near.settled) {
    judgeIntent(quoteHash, settledAt, owners, intentAt, verdict);
  }
  for (const [id, own] of groupBy(executions, ({ orderId }) => owners.get(orderId) ?? orderId)) {
    if (own.length > 1) {
      verdict.duplicates.push({
        what: "executed_twice",
        subject: id,
        detail: `${own.length} times at ${own[0]?.venue ?? "?"}: ${own.map(({ orderId, at }) => `${orderId} ${new Date(at).toISOString()}`).join(", ")}`,
      });
      continue;
    }
    const result = results.get(id)?.[0]?.event.payload;
    const [execution] = own;
    if (result === undefined || execution === undefined) continue;
    if (result.status === "FILLED" || isFilled(result)) {
      const difference = differenceOf(result, execution);
      if (difference !== undefined)
        verdict.violations.push({ what: "fill_differs", subject: id, detail: difference });
    } else if (lateFills.has(id)) verdict.lateFills.push(id);
    else {
      verdict.violations.push({
        what: "fill_not_reported",
        subject: id,
        detail: `the venue executed ${execution.orderId}, the result is ${result.status} (${result.reason?.code ?? ""})`,
      });
    }
  }
  const executed = new Set(executions.map(({ orderId }) => owners.get(orderId)));
  for (const [id, own] of results) {
    if (own.some(({ event }) => event.payload.status === "FILLED") && !executed.has(id)) {
      verdict.violations.push({
        what: "filled_not_executed",
        subject: id,
        detail: "the result is FILLED, the venue's book has no such execution",
      });
    }
  }
  // Refused or not: who sends again without knowing relies on the venue's good will.
  if (evidence.repeatedOrders > 0) {
    verdict.duplicates.push({
      what: "sent_twice",
      subject: "alpaca",
      detail: `${evidence.repeatedOrders} orders came with an id that had come before`,
    });
  }
  if (evidence.near.duplicates > 0) {
    verdict.duplicates.push({
      what: "sent_twice",
      subject: "near-intents",
      detail: `${evidence.near.duplicates} second offers for a quote or a used nonce`,
    });
  }
}

/** How long before a freeze an INTENT may have been written for the freeze to have come between it and the venue. */
const caughtMs = 500;

function caught(
  { commands, freezes, ...books }: CommandEvidence,
  intentAt: ReadonlyMap<string, number>,
  owners: ReadonlyMap<string, string>,
): number {
  const arrived = new Map(
    executionsOf({ commands, freezes, ...books }).map(({ orderId, at }) => [owners.get(orderId), at]),
  );
  return commands.filter(({ event: { payload } }) => {
    const intended = intentAt.get(payload.command_id);
    const at = arrived.get(payload.command_id) ?? Infinity;
    return freezes.some(
      ({ venue, from, to }) =>
        venue === payload.venue &&
        intended !== undefined &&
        intended <= from &&
        from - intended < caughtMs &&
        at >= to,
    );
  }).length;
}

function executionsOf({ orders, near }: CommandEvidence): Execution[] {
  return [
    ...orders
      .filter(({ filled_qty }) => Number(filled_qty) > 0)
      .map((order) => ({
        orderId: order.client_order_id,
        venue: "alpaca",
        at: Date.parse(order.created_at),
        order,
      })),
    ...near.settled.map((settled) => ({
      orderId: settled.quoteHash,
      venue: "near-intents",
      at: settled.settledAt,
      settled,
    })),
  ];
}

/** Whatever stands in a venue's book was intended before it. */
function judgeIntent(
  orderId: string,
  at: number,
  owners: ReadonlyMap<string, string>,
  intentAt: ReadonlyMap<string, number>,
  verdict: CommandVerdict,
): void {
  const owner = owners.get(orderId);
  if (owner === undefined) {
    verdict.violations.push({
      what: "order_without_intent",
      subject: orderId,
      detail: "the journal has no INTENT with this reference",
    });
    return;
  }
  const intended = intentAt.get(owner);
  if (intended !== undefined && intended > at) {
    verdict.violations.push({
      what: "order_before_intent",
      subject: owner,
      detail: `INTENT at ${new Date(intended).toISOString()}, the venue had ${orderId} at ${new Date(at).toISOString()}`,
    });
  }
}

function isFilled({ filled }: TradeResult): boolean {
  return filled.kind === "order" ? Number(filled.quantity) > 0 : filled.amount_in !== "0";
}

/** How a result differs from what the venue executed. */
function differenceOf({ filled, status }: TradeResult, { order, settled }: Execution): string | undefined {
  if (filled.kind === "order" && order !== undefined) {
    const same = Number(filled.quantity) === Number(order.filled_qty);
    const price = Number(filled.average_price ?? "0") === Number(order.filled_avg_price ?? "0");
    return same && price
      ? undefined
      : `${status}: ${filled.quantity} at ${filled.average_price ?? "?"}, the venue executed ${order.filled_qty} at ${order.filled_avg_price ?? "?"}`;
  }
  if (filled.kind === "swap" && settled !== undefined) {
    const amounts = Object.values(settled.diff);
    const same = amounts.includes(filled.amount_in) && amounts.includes(`-${filled.amount_out}`);
    return same
      ? undefined
      : `${status}: in ${filled.amount_in} out ${filled.amount_out}, the venue settled ${JSON.stringify(settled.diff)}`;
  }
  return `the result is about a ${filled.kind}, the venue executed something else`;
}
