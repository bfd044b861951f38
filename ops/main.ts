/** `npm run --silent trading -- <command>`: what surrounds the trading day, from any machine. */
import { Command, CommanderError } from "commander";
import { registerAdmit } from "./admit/index.ts";
import { registerArchive } from "./archive/index.ts";
import { registerCost } from "./cost/index.ts";
import { registerCalendar } from "./calendar/index.ts";
import { registerClose, registerOpen } from "./day/commands.ts";
import { exitCodes } from "./exit-codes.ts";
import { registerGuard } from "./guard/index.ts";
import { registerLeaks } from "./leaks/index.ts";
import { registerNotify } from "./notify/index.ts";
import { registerInit } from "./init/index.ts";
import { registerLogs } from "./logs/index.ts";
import { registerPlan } from "./plan/index.ts";
import { registerRelease } from "./release/index.ts";
import { registerRollback } from "./rollback/index.ts";
import { registerStatus } from "./status/index.ts";
import { registerUi } from "./ui/index.ts";

// A reader that went away (`| head`), or a terminal that was closed, is no error.
for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE" && error.code !== "EIO") throw error;
  });
}

const program = new Command("trading")
  .description("What surrounds the trading day.")
  .usage("<command> [options]     (npm run --silent trading -- …)")
  .addHelpText(
    "after",
    "\nExit codes: 0 done, 1 failed or a problem was found, 2 wrong usage or configuration, 3 refused, 130 interrupted.",
  )
  .showHelpAfterError("(--help tells what is possible)");
registerCalendar(program);
registerInit(program);
registerPlan(program);
registerAdmit(program);
registerOpen(program);
registerClose(program);
registerStatus(program);
registerLogs(program);
registerCost(program);
registerGuard(program);
registerLeaks(program);
registerNotify(program);
registerArchive(program);
registerRollback(program);
registerRelease(program);
registerUi(program);

/** Wrong usage, found by commander, ends with our code for it; `--help` and `--version` are no errors. */
function overrideExits(command: Command): void {
  command.exitOverride();
  for (const inner of command.commands) overrideExits(inner);
}
overrideExits(program);

try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof CommanderError)) throw error;
  process.exitCode = error.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
}
process.exit();
