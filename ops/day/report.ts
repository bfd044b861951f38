/**
 * What a run of open or close did, as `open.json` and `open.html` (`close.…`) in a folder: the page stands by itself, without
 * script and without anything from outside, so it can be kept with a CI run.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { type GanttStage, renderGantt, type StageKind } from "../report/gantt.ts";
import type { CloseDayResult } from "./close-day.ts";
import type { OpenDayResult } from "./open-day.ts";
import type { Timeline, TimelineEntry } from "./timeline.ts";

/** What is reported. */
export interface DayReport {
  command: "open" | "close";
  stack: string;
  /** Undefined when it failed. */
  result: OpenDayResult | CloseDayResult | undefined;
  /** Why it failed; undefined when it did not. */
  error: string | undefined;
  timeline: Timeline;
  endedAt: Date;
}

/** Writes both files. @returns the page's path. @throws Error of node:fs */
export function writeDayReport(folder: string, report: DayReport): string {
  const { command, stack, result, error, timeline, endedAt } = report;
  mkdirSync(folder, { recursive: true });
  const page = path.join(folder, `${command}.html`);
  writeFileSync(page, renderDayReport(report));
  const document = {
    command,
    stack,
    beganAt: timeline.beganAt,
    endedAt,
    result: result ?? null,
    error: error ?? null,
    timeline: timeline.entries,
  };
  writeFileSync(path.join(folder, `${command}.json`), `${JSON.stringify(document, null, 2)}\n`);
  return page;
}

/** The page. */
export function renderDayReport(report: DayReport): string {
  const { command, stack, result, error, timeline, endedAt } = report;
  const title = `${command} ${stack}, ${minuteOf(timeline.beganAt)} UTC`;
  const parts = [
    `<h1>${escape(title)}</h1>`,
    error === undefined
      ? `<p>${escape(result?.word ?? "")}</p>`
      : `<p class="bad">failed</p><pre>${escape(error)}</pre>`,
    facts([
      ["began", timeline.beganAt.toISOString()],
      ["ended", endedAt.toISOString()],
      ...(result === undefined ? [] : factsOf(result)),
    ]),
    ...(result === undefined ? [] : "archived" in result ? closing(result) : opening(result)),
    ...charts(timeline),
  ];
  return (
    `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>${escape(title)}</title>` +
    `<meta name="viewport" content="width=device-width"><style>${style}</style></head><body>` +
    `${parts.join("\n")}</body></html>\n`
  );
}

const style = `:root{color-scheme:light dark}body{font:14px/1.5 system-ui,sans-serif;max-width:1140px;margin:2em auto;padding:0 1em}
h1{font-size:1.4em}h2{font-size:1.1em;margin-top:2em}table{border-collapse:collapse}td,th{padding:.15em 1em .15em 0;text-align:left;
vertical-align:top}td.n,th.n{text-align:right}pre{white-space:pre-wrap}.bad{color:#c62828;font-weight:600}svg{width:100%;height:auto}`;

function factsOf({ outcome, tradingDay }: OpenDayResult | CloseDayResult): [string, string][] {
  if (tradingDay === null) return [["outcome", outcome]];
  const { date, opensAt, closesAt, closesEarly } = tradingDay;
  const hours = `${minuteOf(opensAt)} to ${minuteOf(closesAt)} UTC${closesEarly ? ", the exchange closes early" : ""}`;
  return [
    ["outcome", outcome],
    ["trading day", date],
    ["open", hours],
  ];
}

function opening({ opened, pricePerHour, ready, clocks, positions, closedBefore }: OpenDayResult): string[] {
  const rows: [string, string][] = [];
  if (pricePerHour !== null) rows.push(["price", `${pricePerHour} EUR per started hour (net)`]);
  if (opened !== null) rows.push(["servers", opened.choice]);
  if (ready?.readyAt != null)
    rows.push(["ready", `${ready.readyAt}, ${ready.canaries} canaries came through`]);
  for (const line of positions?.lines ?? []) rows.push(["positions", line]);
  for (const warning of [...(clocks?.warnings ?? []), ...(positions?.warnings ?? [])])
    rows.push(["warning", warning]);
  for (const { choice, reason } of opened?.tried ?? []) rows.push(["not to be had", `${choice}: ${reason}`]);
  const cleared = [...(closedBefore?.cleared ?? []), ...(opened?.cleared ?? [])];
  return [facts(rows), ...leftovers(cleared)];
}

function closing({ archived, cost, closed }: CloseDayResult): string[] {
  const sections: string[] = [];
  for (const { cluster, amount, servers, estimates } of cost) {
    sections.push(
      `<h2>Cost of ${escape(cluster)}: ${escape(amount)} EUR (net)</h2>`,
      table(
        ["server", "type", "location", "from", "to", ">started hours", ">EUR"],
        servers.map((server) => [
          server.name,
          server.serverType,
          server.location,
          server.from,
          server.to,
          String(server.startedHours),
          server.amount ?? "not known",
        ]),
      ),
      ...estimates.map((estimate) => `<p>${escape(estimate)}</p>`),
    );
  }
  for (const { cluster, sealedAt, generation, totals, topics } of archived) {
    const sum = `${totals.records} records of ${totals.topics} topics in ${totals.objects} objects, ${totals.bytes} bytes`;
    sections.push(
      `<h2>Archive of ${escape(cluster)}</h2>`,
      `<p>${escape(`${sum}; sealed at ${sealedAt}, generation ${generation}`)}</p>`,
      table(
        ["topic", ">records"],
        topics.map(({ topic, records }) => [topic, String(records)]),
      ),
    );
  }
  return [...sections, ...leftovers(closed?.cleared ?? [])];
}

function leftovers(cleared: readonly { cluster: string; release: string; resources: string[] }[]): string[] {
  if (cleared.length === 0) return [];
  const rows = cleared.flatMap(({ cluster, release, resources }) =>
    resources.map((resource) => [cluster, release, resource]),
  );
  return ["<h2>Removed by label</h2>", table(["cluster", "because", "resource"], rows)];
}

/** Beyond this length (s) a chart leaves out what is shorter than a second. */
const longRun = 60;

function charts(timeline: Timeline): string[] {
  const runs = [...new Set(timeline.entries.map(({ run }) => run))];
  return runs.flatMap((run) => {
    const entries = timeline.entries.filter((entry) => entry.run === run);
    const begin = Math.min(...entries.map(({ from }) => from));
    const end = Math.max(...entries.map(({ to }) => to ?? timeline.seconds));
    const stages = entries.map((entry) => stageOf(entry, begin, timeline.seconds));
    const shortest = end - begin > longRun ? 1 : 0;
    const failed = entries.filter(({ outcome }) => outcome !== "done");
    return [
      `<h2>${escape(run)}: ${(end - begin).toFixed(1)} s</h2>`,
      ...failed.map(
        ({ name, operation, outcome }) => `<p class="bad">${escape(`${operation} ${name}: ${outcome}`)}</p>`,
      ),
      renderGantt({ title: `${run}, by resource`, stages, shortest }),
    ];
  });
}

function stageOf({ type, name, operation, from, to }: TimelineEntry, begin: number, now: number): GanttStage {
  return {
    ...placeOf(type, name),
    name: `${operation} ${name}`,
    from: from - begin,
    to: (to ?? now) - begin,
  };
}

function placeOf(type: string, name: string): { place: string; kind: StageKind } {
  if (type.startsWith("hcloud:")) return { place: "Hetzner", kind: "cloud" };
  if (name.startsWith("k3s-") || type.startsWith("command:remote:")) return { place: "nodes", kind: "node" };
  if (type.startsWith("kubernetes:")) return { place: "Kubernetes", kind: "pod" };
  return { place: "program", kind: "program" };
}

function facts(rows: readonly (readonly [string, string])[]): string {
  const lines = rows.map(([name, value]) => `<tr><th>${escape(name)}</th><td>${escape(value)}</td></tr>`);
  return rows.length === 0 ? "" : `<table>${lines.join("")}</table>`;
}

/** @param heads a leading `>` aligns the column to the right. */
function table(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const cell = (tag: "td" | "th", text: string, column: number): string =>
    `<${tag}${heads[column]?.startsWith(">") ? ' class="n"' : ""}>${escape(text.replace(/^>/, ""))}</${tag}>`;
  const line = (tag: "td" | "th", texts: readonly string[]): string =>
    `<tr>${texts.map((text, column) => cell(tag, text, column)).join("")}</tr>`;
  return `<table>${line("th", heads)}${rows.map((row) => line("td", row)).join("")}</table>`;
}

const minuteOf = (moment: Date): string => moment.toISOString().slice(0, 16).replace("T", " ");

function escape(text: string): string {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}
