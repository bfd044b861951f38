/** The day's report: one HTML page without scripts or outside addresses; the plots are SVG. */
import { ticks } from "../../ops/report/axis.ts";
import { type DaySummary, describeVenue, type PromiseCheck } from "./summary.ts";

/** One resource operation of the engine, on the day's clock. */
export interface TimelineEntry {
  name: string;
  operation: string;
  /** Seconds since the day's start. */
  from: number;
  to: number;
}

export interface ReportInput {
  summary: DaySummary;
  promises: readonly PromiseCheck[];
  timeline: readonly TimelineEntry[];
  /** Milliseconds from receipt to result, ascending. */
  latencies: readonly number[];
  /** Epoch milliseconds of every ingested event, ascending. */
  ingestedAt: readonly number[];
}

const width = 900;
const labelWidth = 260;

function escape(text: string): string {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}

export { ticks };

function timelinePlot(entries: readonly TimelineEntry[]): string {
  if (entries.length === 0) return "<p>The engine reported no operations.</p>";
  const start = Math.min(...entries.map((entry) => entry.from));
  const end = Math.max(...entries.map((entry) => entry.to), start + 0.1);
  const x = (seconds: number) => labelWidth + ((seconds - start) / (end - start)) * (width - labelWidth - 60);
  const height = entries.length * 14 + 24;
  const grid = ticks(end - start).map(
    (tick) =>
      `<line x1="${x(start + tick)}" x2="${x(start + tick)}" y1="0" y2="${height - 16}" class="grid"/>` +
      `<text x="${x(start + tick)}" y="${height - 4}" text-anchor="middle">${tick} s</text>`,
  );
  const bars = entries.map((entry, row) => {
    const y = row * 14;
    const length = Math.max(1, x(entry.to) - x(entry.from));
    return (
      `<text x="${labelWidth - 6}" y="${y + 10}" text-anchor="end">${escape(entry.name.slice(0, 44))}</text>` +
      `<rect x="${x(entry.from)}" y="${y + 1}" width="${length}" height="11" class="${escape(entry.operation)}"/>` +
      `<text x="${x(entry.from) + length + 3}" y="${y + 10}">${(entry.to - entry.from).toFixed(2)} s</text>`
    );
  });
  return `<svg viewBox="0 0 ${width} ${height}">${grid.join("")}${bars.join("")}</svg>`;
}

/** Columns over equal steps of a value, with the value's axis below. */
function columnPlot(counts: readonly number[], step: number, unit: string): string {
  const highest = Math.max(...counts, 1);
  const column = (width - 60) / counts.length;
  const bars = counts.map((count, index) => {
    const height = (count / highest) * 120;
    return `<rect x="${50 + index * column}" y="${130 - height}" width="${Math.max(0.5, column - 1)}" height="${height}" class="create"/>`;
  });
  const grid = ticks(highest).map((tick) => {
    const y = 130 - (tick / highest) * 120;
    return `<line x1="50" x2="${width}" y1="${y}" y2="${y}" class="grid"/><text x="46" y="${y + 3}" text-anchor="end">${tick}</text>`;
  });
  const labels = ticks(counts.length).map(
    (tick) =>
      `<text x="${50 + tick * column}" y="146" text-anchor="middle">${Number((tick * step).toPrecision(3))} ${unit}</text>`,
  );
  return `<svg viewBox="0 0 ${width} 150">${grid.join("")}${bars.join("")}${labels.join("")}</svg>`;
}

function throughputPlot(ingestedAt: readonly number[]): string {
  const first = ingestedAt[0];
  const last = ingestedAt.at(-1);
  if (first === undefined || last === undefined) return "<p>Nothing was ingested.</p>";
  const counts = new Array<number>(Math.floor((last - first) / 1000) + 1).fill(0);
  for (const time of ingestedAt) {
    const second = Math.floor((time - first) / 1000);
    counts[second] = (counts[second] ?? 0) + 1;
  }
  return columnPlot(counts, 1, "s");
}

function latencyPlot(latencies: readonly number[]): string {
  const slowest = latencies.at(-1);
  if (slowest === undefined) return "<p>No command was given, so there is no latency.</p>";
  const bins = 40;
  const step = Math.max(1, slowest + 1) / bins;
  const counts = new Array<number>(bins).fill(0);
  for (const latency of latencies) {
    const bin = Math.min(bins - 1, Math.max(0, Math.floor(latency / step)));
    counts[bin] = (counts[bin] ?? 0) + 1;
  }
  return columnPlot(counts, step, "ms");
}

function table(rows: readonly (readonly [string, string])[]): string {
  return `<table>${rows.map(([name, value]) => `<tr><th>${escape(name)}</th><td>${escape(value)}</td></tr>`).join("")}</table>`;
}

/** Renders the page. */
export function renderReport(input: ReportInput): string {
  const { summary, promises } = input;
  const { events, latency_ms: latency, seconds, archive } = summary;
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Trading day in the lab: ${escape(summary.stack)}</title>
<style>
body{font:14px system-ui,sans-serif;max-width:${width}px;margin:2em auto;padding:0 1em;color:#1b1f24}
svg{width:100%;font:10px system-ui,sans-serif}th{text-align:left;font-weight:600;padding-right:1.5em}
.grid{stroke:#d9dee5}.create{fill:#2f81f7}.update,.replace{fill:#bf8700}.delete{fill:#8250df}.same{fill:#9aa4b2}.failed{fill:#cf222e}
.held{color:#1a7f37}.broken{color:#cf222e;font-weight:600}
</style></head><body>
<h1>A trading day in the lab: ${escape(summary.stack)}, ${escape(summary.profile)}, engine ${escape(summary.engine)}</h1>
<p class="${summary.ok ? "held" : "broken"}">${summary.ok ? "All promises held." : "A promise was broken."}</p>
<h2>Promises</h2>
<ul>${promises.map((check) => `<li class="${check.held ? "held" : "broken"}">${check.held ? "held" : "BROKEN"}: ${escape(check.promise)} (${escape(check.detail)})</li>`).join("")}</ul>
<h2>The day</h2>
${table([
  ["Ingested", `${events.ingested} events`],
  ["Normalized", `${events.normalized} events`],
  ["Commands", String(events.commands)],
  ["Results", String(events.results)],
  ...Object.entries(summary.venues).map(([venue, traded]) => ["", describeVenue(venue, traded)] as const),
  ["Dead letters", String(summary.dead_letters)],
  [
    "Latency receipt to result",
    latency.p50 === null ? "no command" : `p50 ${latency.p50} ms, p99 ${latency.p99} ms`,
  ],
  [
    "Trading ready",
    summary.trading_ready_seconds === null
      ? "never"
      : `${summary.trading_ready_seconds.toFixed(1)} s after the begin of up`,
  ],
  [
    "Archive",
    `${archive.messages} messages of ${archive.topics} topics, ${archive.verified ? "verified" : "NOT VERIFIED"}`,
  ],
  [
    "Seconds",
    Object.entries(seconds)
      .map(([phase, value]) => `${phase} ${value.toFixed(1)}`)
      .join(", "),
  ],
])}
<h2>Events ingested per second</h2>${throughputPlot(input.ingestedAt)}
<h2>Latency from receipt to result</h2>${latencyPlot(input.latencies)}
<h2>Resources: created, then destroyed</h2>${timelinePlot(input.timeline)}
</body></html>
`;
}
