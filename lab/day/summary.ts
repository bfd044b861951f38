/** The day's summary: the contract of `.lab/summary.json` and of `--json`. Keys are added, never renamed. */

import type { Profile } from "../../components/profile.ts";

export type Phase = "setup" | "up" | "session" | "seal" | "destroy" | "total";

export interface DaySummary {
  ok: boolean;
  stack: string;
  engine: string;
  /** The configuration's `trading:profile`. */
  profile: Profile;
  resources: { created: number; deleted: number };
  /** Resources that still bill in the Hetzner project after destroy. */
  billable_left: number;
  events: { ingested: number; normalized: number; commands: number; results: number };
  /** By venue: commands, results by status, and the venue's share of the latency. */
  venues: Record<string, VenueSummary>;
  duplicates: number;
  lost: number;
  /** Records that a service could not process and put aside. */
  dead_letters: number;
  archive: { topics: number; messages: number; verified: boolean };
  /** From the ingestor's receipt to the result event; null when there was no command. */
  latency_ms: { p50: number | null; p99: number | null };
  /** From the begin of `up` until the monitor's canaries had come through every path; null when they never did. */
  trading_ready_seconds: number | null;
  seconds: Record<Phase, number>;
  /** The promises of DESIGN §6 that the day can measure. */
  promises: PromiseCheck[];
  /** Why the day ended early, if it did. */
  error?: string;
}

/** What was traded at one venue. */
export interface VenueSummary {
  commands: number;
  results: Record<string, number>;
  latency_ms: { p50: number | null; p99: number | null };
}

/** One promise and what was measured of it. */
export interface PromiseCheck {
  promise: string;
  held: boolean;
  /** What was measured: figures, or what is wrong by name. */
  detail: string;
}

/** A summary of a day on which nothing has happened yet. */
export function emptySummary(stack: string, engine: string): DaySummary {
  return {
    ok: false,
    stack,
    engine,
    profile: "cluster",
    resources: { created: 0, deleted: 0 },
    billable_left: 0,
    events: { ingested: 0, normalized: 0, commands: 0, results: 0 },
    venues: {},
    duplicates: 0,
    lost: 0,
    dead_letters: 0,
    archive: { topics: 0, messages: 0, verified: false },
    latency_ms: { p50: null, p99: null },
    trading_ready_seconds: null,
    seconds: { setup: 0, up: 0, session: 0, seal: 0, destroy: 0, total: 0 },
    promises: [],
  };
}

/** One line about a venue, in the summary and in the report. */
export function describeVenue(venue: string, { commands, results, latency_ms }: VenueSummary): string {
  const statuses = Object.entries(results).map(([status, count]) => `${count} ${status}`);
  const latency = latency_ms.p50 === null ? "" : `, p50 ${latency_ms.p50} ms, p99 ${latency_ms.p99} ms`;
  return `${venue}: ${commands} commands, ${statuses.length === 0 ? "no result" : statuses.join(", ")}${latency}`;
}

/** The summary as a person reads it, at the end of the day. */
export function describeSummary(summary: DaySummary): string {
  const { events, archive, latency_ms: latency, seconds } = summary;
  const title = `${summary.ok ? "ok" : "NOT OK"}: ${summary.stack}${summary.profile === "cluster" ? "" : ` (${summary.profile})`} on the ${summary.engine} engine`;
  const isUntouched = summary.resources.created === 0 && summary.promises.every(({ held }) => held);
  if (summary.error !== undefined && isUntouched) return `${title}\n${summary.error}`;
  const lines = [
    title,
    `resources  ${summary.resources.created} created, ${summary.resources.deleted} deleted, ${summary.billable_left} left that bill`,
    `events     ${events.ingested} ingested, ${events.normalized} normalized, ${events.commands} commands, ${events.results} results`,
    `           ${summary.duplicates} duplicates, ${summary.lost} lost, ${summary.dead_letters} dead letters`,
    ...Object.entries(summary.venues).map(([venue, traded]) => `  ${describeVenue(venue, traded)}`),
    `archive    ${archive.messages} messages of ${archive.topics} topics, ${archive.verified ? "verified" : "NOT VERIFIED"}`,
    `latency    ${latency.p50 === null ? "no command" : `p50 ${latency.p50} ms, p99 ${latency.p99} ms from receipt to result`}`,
    `ready      ${summary.trading_ready_seconds === null ? "never" : `trading ready ${summary.trading_ready_seconds.toFixed(1)} s after the begin of up`}`,
    `seconds    ${Object.entries(seconds)
      .map(([phase, value]) => `${phase} ${value.toFixed(1)}`)
      .join(", ")}`,
    ...summary.promises.map(
      (check) => `${check.held ? "held   " : "BROKEN "} ${check.promise}: ${check.detail}`,
    ),
  ];
  if (summary.error !== undefined) lines.push(`error      ${summary.error}`);
  return lines.join("\n");
}
