import assert from "node:assert/strict";
import { test } from "node:test";
import { Command } from "commander";
import { registerClose, registerOpen } from "./commands.ts";

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

test("numbers that are none are refused by their option", async () => {
  for (const [register, option, value] of [
    [registerOpen, "--ready-timeout", "0"],
    [registerOpen, "--most-wait", "soon"],
    [registerClose, "--most-wait", "1000"],
  ] as const) {
    const program = new Command().exitOverride().configureOutput({ writeErr: () => undefined });
    register(program);
    const [command] = program.commands;
    assert.ok(command !== undefined);
    command.exitOverride().configureOutput({ writeErr: () => undefined });
    const args = [command.name(), "--stack", "dev", option, value];
    await assert.rejects(
      program.parseAsync(args, { from: "user" }),
      new RegExp(`${option}[^]*Expected a whole`),
    );
  }
});
