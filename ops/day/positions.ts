/**
 * What the executors' comparison of our books with the venues' accounts came to, and whether trading is stopped. A mismatch
 * engages the kill switch (services/execution/reconciliation.ts), and a person who releases it has accepted it.
 */
import type { TradingReady } from "../../services/archive/documents.ts";

/** See the module's description. */
export interface Positions {
  /** One line a venue, for people; empty when nothing is known. */
  lines: string[];
  /** Told, and nothing more. */
  warnings: string[];
  /** Keeps from trading. */
  problems: string[];
}

/** The kill switch's scope for all venues (services/bus/kill-switch.ts). */
const everyVenue = "*";

/** Judges what the readiness document says. */
export function judgePositions({ accounts, stopped }: Pick<TradingReady, "accounts" | "stopped">): Positions {
  const problems = stopped.map(
    ({ scope, by, at, reason }) =>
      `trading ${scope === everyVenue ? "everywhere" : `at ${scope}`} was stopped by ${by} at ${at}: ${reason}. ` +
      "docs/runbook.md says how the kill switch is released once a person has looked",
  );
  if (accounts === null) {
    return {
      lines: [],
      warnings: ["whether positions were compared is not known: the monitor does not say"],
      problems,
    };
  }
  const lines = accounts.map(({ venue, outcome, at, differences }) => {
    if (outcome === "matched") return `${venue}: positions as in our books at ${at}`;
    if (outcome === "recorded") return `${venue}: account recorded at ${at}, the day begins with it`;
    return `${venue}: differed at ${at}: ${differences.join("; ")}`;
  });
  const warnings = accounts
    .filter(
      ({ outcome, venue }) => outcome === "mismatch" && !stopped.some(({ scope }) => covers(scope, venue)),
    )
    .map(
      ({ venue }) => `${venue}'s account differed from our books, and a person has released the kill switch`,
    );
  return { lines, warnings, problems };
}

const covers = (scope: string, venue: string): boolean => scope === everyVenue || scope === venue;
