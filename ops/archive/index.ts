/** `trading archive …`: one command a file, registered here. */
import type { Command } from "commander";
import { registerList } from "./list.ts";

/** Adds `archive` and its commands. */
export function registerArchive(program: Command): void {
  const archive = program
    .command("archive")
    .description("The archived days: look at them, verify them, bring them back, remove old ones.");
  registerList(archive);
}
