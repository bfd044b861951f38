/** `trading status`: how a stack is, on one screen. */
import type { Command } from "commander";
import { bucketSettings, describeBucket, openBucket } from "../archive/bucket.ts";
import { openCalendar } from "../calendar/calendar.ts";
import { openTurnBucket } from "../cluster/turn.ts";
import { type ExitCode, exitCodes } from "../exit-codes.ts";
import { describeHetzner, openHetzner, readStack, stackOption } from "../hetzner/settings.ts";
import { type Run, runs } from "../run.ts";
import { jsonOf, printStatus } from "./print.ts";
import { readStatus } from "./status.ts";

/** Somebody waits in front of a terminal for what may not answer at all. */
const patience = { requestTimeoutMs: 10_000, retryDeadlineMs: 20_000 };

/** Adds the command. */
export function registerStatus(program: Command): void {
  const status = program
    .command("status")
    .description(
      "How the stack is: calendar, servers by label, who opens or closes, cluster, readiness, seal, the archiver's last object, admissions, " +
        "cost of today. Reads the calendar, Hetzner and the bucket, and no state; what cannot be asked is said.",
    )
    .addOption(stackOption())
    .option("--json", "one JSON object instead of a screen")
    .action(runs(runStatus));
  describeHetzner(status);
  describeBucket(status).addHelpText(
    "after",
    "\nAPCA_API_KEY_ID, APCA_API_SECRET_KEY: for Alpaca's calendar; without them the stored rules count. It judges as guard does,\n" +
      "but tells nobody. Exit code 0: all is as it should be; 1: something is not, or could not be asked.",
  );
}

async function runStatus(
  run: Run,
  { stack, json = false }: { stack: string; json?: boolean },
): Promise<ExitCode> {
  const { env: environment } = process;
  const values = readStack(stack);
  const client = openHetzner(values, { signal: run.signal, patience, report: run.progress }, environment);
  const calendar =
    values.schedule === undefined
      ? undefined
      : await openCalendar({ values, environment, signal: run.signal, report: run });
  const archiveStore = openBucket(stack, environment);
  const turnBucket = openTurnBucket(bucketSettings(stack, environment));
  try {
    const status = await readStatus({ stack, now: new Date(), client, archiveStore, turnBucket, calendar });
    run.print(json ? JSON.stringify(jsonOf(status)) : printStatus(status));
    return status.problems.length === 0 ? exitCodes.ok : exitCodes.failed;
  } finally {
    archiveStore.close();
    turnBucket.close();
  }
}
