import assert from "node:assert/strict";
import { test } from "node:test";
import type { DiagnosticEvent, EngineEvent } from "@pulumi/pulumi/automation/index.js";
import { eventOf } from "./pulumi-events.ts";

const told = (severity: string, message: string) =>
  eventOf({ diagnosticEvent: { color: "never", severity, message } as DiagnosticEvent } as EngineEvent);

test("what the CLI says is told with its weight, without its marks", () => {
  assert.deepEqual(told("info#err", "<{%reset%}>under way<{%reset%}>\n"), {
    kind: "line",
    text: "under way",
    severity: "info",
  });
  assert.deepEqual(
    ["warning", "error"].map((severity) => told(severity, "x")),
    ["warning", "error"].map((severity) => ({ kind: "line", text: "x", severity })),
  );
  assert.equal(told("info", " \n"), undefined);
});

test("what the program's runtime says for its own debugging is not told: resources' values stand in it, secret ones too", () => {
  assert.equal(told("debug", "RegisterResource RPC finished: resp: stringData,password,in-clear"), undefined);
});
