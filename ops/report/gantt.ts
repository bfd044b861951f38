/**
 * A Gantt chart of stages as SVG, by itself: no script, no font and no address from outside, and readable on a light and
 * on a dark background.
 */
import { ticks } from "./axis.ts";

/** What a stage is, by which it is coloured. */
export type StageKind = "cloud" | "node" | "image" | "pod" | "program";

/** One bar. */
export interface GanttStage {
  /** Where it happens; stages of one place stand together. */
  place: string;
  name: string;
  kind: StageKind;
  /** Seconds since the beginning. */
  from: number;
  to: number;
}

export interface GanttArguments {
  title: string;
  /** Places stand in the order in which they come here, stages of a place in that of their beginnings. */
  stages: readonly GanttStage[];
  /** Stages shorter than this many seconds are left out, and counted in the title. Default: 0. */
  shortest?: number;
}

const width = 1_100;
const left = 16;
/** Room for the text behind the last bars; a text that needs more stands before its bar. */
const right = 200;
/** What a letter takes at most, on average. */
const letter = 6.2;
const lane = 16;
const head = 58;

const meanings: Readonly<Record<StageKind, string>> = {
  cloud: "cloud API",
  node: "boot and k3s",
  image: "image pull",
  pod: "pods",
  program: "resources of the program",
};

const style = `
svg{font:11px system-ui,sans-serif;background:var(--paper);--paper:#fff;--ink:#1b1f24;--grid:#d9dee5;
--cloud:#2f81f7;--node:#bf8700;--image:#9aa4b2;--pod:#1a7f37;--program:#8250df}
@media(prefers-color-scheme:dark){svg{--paper:#0d1117;--ink:#e6edf3;--grid:#30363d;
--cloud:#58a6ff;--node:#d29922;--image:#6e7681;--pod:#3fb950;--program:#a371f7}}
text{fill:var(--ink)}.title{font-size:15px;font-weight:600}.place{font-weight:600}.axis{text-anchor:middle}
line{stroke:var(--grid)}${Object.keys(meanings)
  .map((kind) => `.${kind}{fill:var(--${kind})}`)
  .join("")}`;

function escape(text: string): string {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}

const round = (value: number): string => value.toFixed(1).replace(/\.0$/, "");

/** Draws the chart. @returns a whole SVG document */
export function renderGantt({ title, stages, shortest = 0 }: GanttArguments): string {
  const shown = stages.filter(({ from, to }) => to - from >= shortest);
  const end = Math.max(1, ...shown.map(({ to }) => to));
  const x = (seconds: number): number => left + (seconds / end) * (width - left - right);
  const places = [...new Set(shown.map(({ place }) => place))];
  const parts: string[] = [];
  let y = head;
  for (const place of places) {
    parts.push(`<text x="${left}" y="${y + 13}" class="place">${escape(place)}</text>`);
    y += lane + 4;
    const here = shown.filter((stage) => stage.place === place);
    for (const stage of here.sort((one, other) => one.from - other.from || one.to - other.to)) {
      const length = Math.max(1.5, x(stage.to) - x(stage.from));
      const text = `${stage.name}, ${round(stage.to - stage.from)} s`;
      const behind = x(stage.from) + length + 5;
      const fits = behind + text.length * letter <= width;
      const beside = fits ? `x="${round(behind)}"` : `x="${round(x(stage.from) - 5)}" text-anchor="end"`;
      parts.push(
        `<rect x="${round(x(stage.from))}" y="${y + 2}" width="${round(length)}" height="${lane - 5}" rx="2" class="${stage.kind}">` +
          `<title>${escape(stage.name)}: ${round(stage.from)} s to ${round(stage.to)} s</title></rect>` +
          `<text ${beside} y="${y + 11}">${escape(text)}</text>`,
      );
      y += lane;
    }
    y += 6;
  }
  const height = y + 8;
  const grid = ticks(end).map(
    (tick) =>
      `<line x1="${round(x(tick))}" x2="${round(x(tick))}" y1="${head - 4}" y2="${height - 6}"/>` +
      `<text x="${round(x(tick))}" y="${head - 8}" class="axis">${tick} s</text>`,
  );
  const kinds = (Object.keys(meanings) as StageKind[]).filter((kind) =>
    shown.some((stage) => stage.kind === kind),
  );
  const legend = kinds.map(
    (kind, index) =>
      `<rect x="${left + index * 170}" y="27" width="10" height="10" rx="2" class="${kind}"/>` +
      `<text x="${left + index * 170 + 15}" y="36">${meanings[kind]}</text>`,
  );
  const omitted = stages.length - shown.length;
  const note = omitted === 0 ? "" : ` (without ${omitted} stages shorter than ${shortest} s)`;
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img" aria-label="${escape(title)}">` +
    `<style>${style}</style><text x="${left}" y="18" class="title">${escape(title)}${note}</text>` +
    `${legend.join("")}${grid.join("")}${parts.join("")}</svg>\n`
  );
}
