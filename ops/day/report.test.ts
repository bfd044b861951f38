import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import type { StackEngine, StackEvent } from "../engine/stack-engine.ts";
import { writeDayReport } from "./report.ts";
import { recordedEngine, Timeline } from "./timeline.ts";

test("a run that failed is reported, with what it was doing; what was said is text and never markup", async () => {
  const folder = mkdtempSync(path.join(tmpdir(), "report-"));
  let now = Date.parse("2025-10-14T12:00:00Z");
  const timeline = new Timeline(() => new Date(now));
  const listened: StackEvent[] = [];
  const server = { kind: "resource", operation: "create", type: "hcloud:index/server:Server" } as const;
  const engine = recordedEngine(
    {
      up: async ({ onEvent }: Parameters<StackEngine["up"]>[0]) => {
        for (const name of ["nodes-a", "nodes-<b>", "nodes-c"])
          onEvent?.({ ...server, name, status: "started" });
        now += 2_000;
        onEvent?.({ ...server, name: "nodes-a", status: "done" });
        onEvent?.({ ...server, name: "nodes-<b>", status: "failed" });
        return { outputs: { a: 1 } };
      },
    } as unknown as StackEngine,
    timeline,
  );
  const { signal } = new AbortController();
  const { outputs } = await engine.up({ signal, onEvent: (event) => void listened.push(event) });
  assert.deepEqual([outputs, listened.length], [{ a: 1 }, 5], "whoever listens hears it all the same");
  assert.deepEqual(
    timeline.entries.map(({ run, name, from, to, outcome }) => [run, name, from, to, outcome]),
    [
      ["up", "nodes-a", 0, 2, "done"],
      ["up", "nodes-<b>", 0, 2, "failed"],
      ["up", "nodes-c", 0, undefined, "under way"],
    ],
  );
  const endedAt = new Date(now);
  const error = 'no <script> & "stock"';
  const page = writeDayReport(path.join(folder, "new"), {
    command: "open",
    stack: "dev",
    result: undefined,
    error,
    timeline,
    endedAt,
  });
  const html = readFileSync(page, "utf8");
  assert.match(html, /no &#60;script&#62; &#38; &#34;stock&#34;/);
  assert.match(html, /create nodes-&#60;b&#62;: failed/);
  assert.match(html, /create nodes-c: under way/);
  assert.doesNotMatch(html, /<script|<b>/);
  const json = JSON.parse(readFileSync(path.join(folder, "new", "open.json"), "utf8")) as Record<
    string,
    unknown
  >;
  assert.deepEqual([json["error"], json["result"], json["endedAt"]], [error, null, endedAt.toISOString()]);
  rmSync(folder, { recursive: true });
});
