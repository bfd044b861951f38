import assert from "node:assert/strict";
import { test } from "node:test";
import { Command } from "commander";
import { UsageError } from "../run.ts";
import { registerClose, registerOpen } from "./commands.ts";
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

for (const register of [registerOpen, registerClose])
  test(`${register.name}: the stack has to be said, and must be one that can be`, async () => {
    for (const args of [[], ["--stack", "BAD/x"]]) {
      const program = new Command().exitOverride().configureOutput({ writeErr: () => undefined });
      register(program);
      const [command] = program.commands;
      assert.ok(command !== undefined);
      command.exitOverride().configureOutput({ writeErr: () => undefined });
      await assert.rejects(program.parseAsync([command.name(), ...args], { from: "user" }), /--stack/);
    }
  });
