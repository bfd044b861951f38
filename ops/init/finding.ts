/** What checks of a stack's configuration find out. */

/** What is asked for and checked together, in the order in which a newcomer meets it. */
export const groups = ["hetzner", "access", "archive", "delivery", "alpaca", "near", "schedule"] as const;
/** One of {@link groups}. */
export type Group = (typeof groups)[number];

/** How a check came out. */
export type Verdict =
  | "ok"
  /** Worth knowing. */
  | "note"
  /** It can be written, but will not do, or not well, until something else is changed. */
  | "warning"
  /** An API, or the value itself, says that it is wrong: it is never written. */
  | "refused"
  /** Nobody answered, so it is not known: it is written only when that is wished. */
  | "unreachable";

/** One result. No secret is in it. */
export interface Finding {
  group: Group;
  verdict: Verdict;
  /** For people, without a line break at its end. */
  text: string;
  /** Keys of the values that are to be given anew (`archive.endpoint`), where some are. */
  keys: readonly string[];
}

/** Makes the findings of one group. */
export function findingsOf(group: Group) {
  return (verdict: Verdict, text: string, keys: readonly string[] = []): Finding => ({
    group,
    verdict,
    text,
    keys,
  });
}

/** Whether it keeps a configuration from being written, unless what could not be checked is wished to be. */
export function isBad({ verdict }: Finding): boolean {
  return verdict === "refused" || verdict === "unreachable";
}

const marks: Readonly<Record<Verdict, string>> = {
  ok: "ok",
  note: "note",
  warning: "WARNING",
  refused: "WRONG",
  unreachable: "NOT CHECKED",
};

/** A line of a report. */
export function printFinding({ group, verdict, text }: Finding): string {
  return `  ${marks[verdict].padEnd(11)}  ${group.padEnd(8)}  ${text}`;
}
