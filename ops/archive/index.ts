/** `trading archive …`: one command a file, registered here. */
import type { Command } from "commander";
import { registerList } from "./list.ts";
import { registerPrune } from "./prune.ts";
import { registerReplay } from "./replay.ts";
import { registerRestore } from "./restore.ts";
import { registerShow } from "./show.ts";
import { registerVerify } from "./verify.ts";

/** Adds `archive` and its commands. */
export function registerArchive(program: Command): void {
  const archive = program
    .command("archive")
    .description("The archived days: look at them, verify them, bring them back, remove old ones.");
  registerList(archive);
  registerShow(archive);
  registerVerify(archive);
  registerRestore(archive);
  registerReplay(archive);
  registerPrune(archive);
}
