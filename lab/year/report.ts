/** The year's report: one HTML page without scripts or outside addresses. */
import type { Finding } from "./judge.ts";
import type { YearOptions } from "./options.ts";
import { escapeHtml, heatMap, monthRows } from "./picture.ts";
import type { DayRecord } from "./span.ts";
import { causesOf } from "./totals.ts";

const style = `
body { font: 14px/1.5 system-ui, sans-serif; margin: 2rem; max-width: 62rem; color: #222; }
table { border-collapse: collapse; margin: 1rem 0; } td, th { padding: .15rem .7rem; text-align: right; border-bottom: 1px solid #ddd; }
td:first-child, th:first-child { text-align: left; } svg text { font-size: 10px; fill: #555; }
.none { fill: #eee; } .fine { fill: #2da44e; } .faults { fill: #9be9a8; } .told { fill: #e3b341; } .broken { fill: #cf222e; }
.key i { display: inline-block; width: .8em; height: .8em; border-radius: 2px; margin: 0 .3em 0 1em; }
details { margin: .2rem 0; } .bad { color: #cf222e; } pre { white-space: pre-wrap; margin: .3rem 0 .8rem 1.2rem; }
`;

/** What the report shows. */
export interface ReportInput {
  options: YearOptions;
  days: readonly DayRecord[];
  findings: readonly Finding[];
  lastLine: string;
}

/** Makes the page. */
export function yearReport({ options, days, findings, lastLine }: ReportInput): string {
  const stacks = options.stacks.map((stack) => {
    const ofStack = days.filter((day) => day.stack === stack);
    return `<h2>${stack}</h2>${heatMap(ofStack, storyOf)}${key}${htmlTable(monthRows(ofStack))}`;
  });
  const causes = causesOf(days).map((cause) => [
    cause.cause,
    String(cause.days),
    String(cause.hours),
    cause.euro.toFixed(4),
  ]);
  const eventful = days.filter((day) => day.faults.length + day.findings.length > 0);
  return `<!doctype html><html lang="en"><meta charset="utf-8"><title>${escapeHtml(lastLine)}</title><style>${style}</style>
<h1>${options.days} days from ${options.from}, seed ${options.seed}</h1>
<p class="${findings.length > 0 ? "bad" : ""}"><code>${escapeHtml(lastLine)}</code></p>
<p>The account at Hetzner, the clock, the inside of the clusters and the people are simulated; the Pulumi program, the commands,
the S3 server and the kills are real. docs/year.md says how to read this.</p>
${findings.length === 0 ? "" : `<h2 class="bad">Findings</h2><ul>${findings.map(({ kind, stack, date, what }) => `<li><b>${kind}</b> ${stack} ${date}: ${escapeHtml(what)}</li>`).join("")}</ul>`}
${stacks.join("\n")}
<h2>Paid above the calendar's ideal</h2>
${causes.length === 0 ? "<p>Nothing.</p>" : htmlTable([["why", "days", "started hours", "EUR net"], ...causes])}
<h2>Days on which something went wrong</h2>
${eventful.map((day) => `<details><summary>${escapeHtml(`${day.stack} ${day.date}: ${day.faults.join("; ")}`)}</summary><pre>${escapeHtml(storyOf(day))}</pre></details>`).join("\n")}
</html>
`;
}

const key = `<p class="key">${[
  ["fine", "#2da44e", "as planned"],
  ["faults", "#9be9a8", "with faults, in time"],
  ["told", "#e3b341", "not in time, people were told"],
  ["broken", "#cf222e", "a promise broken"],
  ["none", "#eee", "no trading day"],
]
  .map(([, colour, meaning]) => `<i style="background:${colour}"></i>${meaning}`)
  .join("")}</p>`;

/** A day as text: what went wrong, who ran when, who was told, what it cost. */
export function storyOf(day: DayRecord): string {
  const { date, tradingDay, faults, verdict, jobs, notices, cost, findings } = day;
  if (tradingDay === null && jobs.length === 0) return `${date}: no trading day`;
  const minute = (moment: Date): string => moment.toISOString().slice(11, 16);
  return [
    tradingDay === null
      ? `${date}: no trading day`
      : `${date}: open ${minute(tradingDay.opensAt)} to ${minute(tradingDay.closesAt)} UTC, bell ${minute(tradingDay.bell)}` +
        (tradingDay.closesEarly ? " (half day)" : ""),
    ...faults.map((fault) => `fault: ${fault}`),
    ...jobs.map(
      ({ job, began, ended, end, said }) =>
        `${minute(began)}-${minute(ended)} ${job} ${end}: ${said.split("\n", 1)[0]?.slice(0, 160) ?? ""}`,
    ),
    ...notices.map(({ at, kind }) => `${minute(at)} people were told: ${kind}`),
    ...(verdict === null
      ? []
      : [
          `${verdict.opened ? "open" : "NOT open"} at the bell; ${verdict.gone ? "gone" : "NOT gone"} at the deadline`,
          ...verdict.told.map((told) => `told by ${told}`),
        ]),
    `${cost.euro.toFixed(4)} EUR, ideally ${cost.ideal.toFixed(4)}`,
    ...cost.extras.map(
      ({ category, euro, hours, because }) =>
        `above: ${euro.toFixed(4)} EUR, ${hours} started hours ${category}, because of ${because.join(" + ") || "NOTHING KNOWN"}`,
    ),
    ...findings.map(({ kind, what }) => `FINDING ${kind}: ${what}`),
  ].join("\n");
}

function htmlTable([heading = [], ...rows]: readonly (readonly string[])[]): string {
  const row = (cells: readonly string[], tag: "td" | "th"): string =>
    `<tr>${cells.map((text) => `<${tag}>${escapeHtml(text)}</${tag}>`).join("")}</tr>`;
  return `<table>${row(heading, "th")}${rows.map((cells) => row(cells, "td")).join("")}</table>`;
}
