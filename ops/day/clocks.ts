/**
 * Whether the clocks agree: this machine's with Hetzner's API and with the bucket's server, and the cluster's, which its
 * archiver compares with the bucket's server. Orders and their deadlines hang on the cluster's clock, so that one decides;
 * this machine only decides when to begin.
 */
import type { TradingReady } from "../../services/archive/documents.ts";
import { measureSkewMs, type TimeAnswer } from "../../services/core/clock-skew.ts";
import type { ClusterParts } from "../cluster/parts.ts";

/** Clocks that are further apart, in milliseconds, are not what trading can be timed with. */
const mostSkewMs = 1_000;
/** For one answer. */
const patienceMs = 10_000;

/** A clock that this machine's is compared with. */
export interface ClockSource {
  /** For people. */
  name: string;
  /** Rejects when it does not tell. */
  ask: (signal: AbortSignal) => Promise<TimeAnswer>;
}

/** What the comparison came to. */
export interface ClockReading {
  /** By how many milliseconds this machine's clock is ahead of each other (negative: behind); null: it did not tell. */
  machine: { source: string; skewMs: number | null }[];
  /** By how many the cluster's is ahead of the bucket's; null: not measured. */
  clusterSkewMs: number | null;
  /** Told, and nothing more. */
  warnings: string[];
  /** Keeps from trading. */
  problems: string[];
}

/** Hetzner's API and the bucket's server, by the `Date` of an answer to a question that needs no key. */
export function clockSources({ config, now }: Pick<ClusterParts, "config" | "now">): ClockSource[] {
  const { hcloudEndpoint = "https://api.hetzner.cloud/v1", archive } = config;
  return [
    { name: "Hetzner's API", ask: (signal) => askHttp(hcloudEndpoint, now, signal) },
    { name: "the bucket's server", ask: (signal) => askHttp(archive.endpoint, now, signal) },
  ];
}

async function askHttp(address: string, now: () => Date, signal: AbortSignal): Promise<TimeAnswer> {
  const askedAt = now().getTime();
  const patience = AbortSignal.any([signal, AbortSignal.timeout(patienceMs)]);
  const response = await fetch(address, { method: "HEAD", redirect: "manual", signal: patience });
  const answeredAt = now().getTime();
  const theirs = Date.parse(response.headers.get("date") ?? "");
  if (Number.isNaN(theirs)) throw new Error("the answer has no Date");
  return { theirs, askedAt, answeredAt };
}

/** Compares. Never throws but for the signal's reason: a clock that does not tell is a warning. */
export async function readClocks(
  { signal }: Pick<ClusterParts, "signal">,
  sources: readonly ClockSource[],
  ready: Pick<TradingReady, "clockSkewMs"> | undefined,
): Promise<ClockReading> {
  const warnings: string[] = [];
  const machine = await Promise.all(
    sources.map(async ({ name, ask }) => {
      try {
        return { source: name, skewMs: await measureSkewMs(() => ask(signal), signal) };
      } catch (error) {
        signal.throwIfAborted();
        warnings.push(`${name} does not tell its time: ${(error as Error).message}`);
        return { source: name, skewMs: null };
      }
    }),
  );
  const off = machine.filter(({ skewMs }) => isTooMuch(skewMs));
  for (const { source, skewMs } of off) {
    warnings.push(
      `this machine's clock is ${describe(skewMs)} that of ${source}: it decides when to begin and to end`,
    );
  }
  const clusterSkewMs = ready?.clockSkewMs ?? null;
  const problems = ready === undefined ? [] : clusterClockProblems(ready);
  if (ready !== undefined && clusterSkewMs === null)
    warnings.push("the cluster's clock was not compared: its archiver could not ask the bucket's server");
  return { machine, clusterSkewMs, warnings, problems };
}

/** What keeps from trading; empty when it is right, or was not measured. */
export function clusterClockProblems({ clockSkewMs }: Pick<TradingReady, "clockSkewMs">): string[] {
  if (!isTooMuch(clockSkewMs)) return [];
  return [
    `the cluster's clock is ${describe(clockSkewMs)} that of the bucket's server: on its nodes, ` +
      "`chronyc tracking` says what it is set by",
  ];
}

const isTooMuch = (skewMs: number | null): boolean => skewMs !== null && Math.abs(skewMs) > mostSkewMs;

function describe(skewMs: number | null): string {
  const skew = skewMs ?? 0;
  return `at least ${(Math.abs(skew) / 1_000).toFixed(1)} s ${skew > 0 ? "ahead of" : "behind"}`;
}
