import assert from "node:assert/strict";
import test from "node:test";
import { type GanttStage, renderGantt } from "./gantt.ts";

const stages: GanttStage[] = [
  { place: "kafka-0", name: "create", kind: "cloud", from: 0, to: 10 },
  { place: "kafka-0", name: 'image "a<b>&c"', kind: "image", from: 12, to: 12.2 },
  { place: "k3s-control", name: "boot", kind: "node", from: 10, to: 20 },
];

test("a chart shows every stage at its place, with its time, and says what it leaves out", () => {
  const all = renderGantt({ title: "up", stages });
  assert.equal([...all.matchAll(/<rect [^>]*height="11"/g)].length, 3);
  assert.match(all, /<title>boot: 10 s to 20 s<\/title>/);
  assert.ok(all.indexOf(">kafka-0<") < all.indexOf(">k3s-control<"));
  const few = renderGantt({ title: "up", stages, shortest: 1 });
  assert.match(few, /without 1 stages shorter than 1 s/);
  assert.doesNotMatch(few, /image &#34;/);
});

test("names are text and never markup", () => {
  assert.match(renderGantt({ title: "<up>", stages }), /image &#34;a&#60;b&#62;&#38;c&#34;/);
  assert.doesNotMatch(renderGantt({ title: "<up>", stages }), /<up>|a<b>/);
});

test("nothing to show is an empty chart", () => {
  assert.match(renderGantt({ title: "up", stages: [] }), /^<svg .*<\/svg>\n$/s);
});
