import assert from "node:assert/strict";
import { test } from "node:test";
import { UsageError } from "../run.ts";
import { openParts } from "./parts.ts";

test("without an engine that can be used nothing is begun: that is wrong usage", async () => {
  const common = {
    stack: "dev",
    projectDirectory: import.meta.dirname,
    reporter: { note: () => undefined, progress: () => undefined },
    signal: new AbortController().signal,
  };
  for (const environment of [{ PATH: "" }, { TRADING_ENGINE: "no-such-module.ts" }])
    await assert.rejects(openParts({ ...common, environment }), UsageError);
});
