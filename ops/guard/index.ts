/** `trading guard`: is what should be there, and only that? */
import type { Command } from "commander";
import { describeBucket, openBucket } from "../archive/bucket.ts";
import { openCalendar } from "../calendar/calendar.ts";
import { gateSettings, openParts } from "../cluster/parts.ts";
import { closeDay } from "../day/close-day.ts";
import { type ExitCode, exitCodes } from "../exit-codes.ts";
import { describeHetzner, namedStackOption, openHetzner, readStack } from "../hetzner/settings.ts";
import { openNotifier } from "../notify/notifier.ts";
import { type Run, runs } from "../run.ts";
import { guardStack, type GuardResult } from "./guard.ts";

interface GuardCommandOptions {
  stack: string;
  close?: boolean;
  json?: boolean;
}

/** Adds the command. */
export function registerGuard(program: Command): void {
  const guard = program
    .command("guard")
    .description(
      "Looks at the calendar, Hetzner and the bucket, and at no state: what should be open and is not, what is still there past " +
        "its deadline, what leaked. Tells people, each thing once an hour at most, and ends admissions that are over.",
    )
    .addOption(namedStackOption())
    .option("--close", "seal and remove what is past its deadline, as close does; what is not sealed stays")
    .option("--json", "one JSON object instead of sentences")
    .action(runs(runGuard));
  describeHetzner(guard);
  describeBucket(guard).addHelpText(
    "after",
    `
TRADING_WEBHOOK_URL, TRADING_HEARTBEAT_URL: who is told (docs/guard.md). APCA_API_KEY_ID, APCA_API_SECRET_KEY: for Alpaca's
calendar; without them the stored rules count. --close runs the program where its engine and its state are to be had, as
close does, and removes by label where not.

Exit code 0: all is as it should be; 1: something was found, whether or not it was closed then.`,
  );
}

async function runGuard(
  run: Run,
  { stack, close = false, json = false }: GuardCommandOptions,
): Promise<ExitCode> {
  const environment = process.env;
  const { signal } = run;
  const values = readStack(stack);
  const gate = gateSettings(environment);
  const client = openHetzner(values, { signal, report: (line) => run.progress(line) }, environment);
  const calendar =
    values.schedule === undefined
      ? undefined
      : await openCalendar({ values, environment, signal, report: run });
  if (calendar === undefined)
    run.note(`stack ${stack} has no trading:schedule: nobody knows when it should be open`);
  const notifier = openNotifier({ environment, reporter: run, signal });
  const archiveStore = openBucket(stack, environment);
  await notifier.beat("guard", "start");
  try {
    const result = await guardStack(
      {
        stack,
        client,
        archiveStore,
        gate,
        reporter: run,
        signal,
        now: () => new Date(),
        calendar,
        notifier,
        ...(values.schedule === undefined ? {} : { deadlineMinutes: values.schedule.deadlineMinutes }),
      },
      {
        hasRealTimes: true,
        close: !close
          ? undefined
          : async (told, stillDue) => {
              const parts = await openParts({
                stack,
                projectDirectory: process.cwd(),
                environment,
                reporter: run,
                signal,
              });
              try {
                await closeDay(parts, { notifier: told, stillDue });
              } finally {
                parts.close();
              }
            },
      },
    );
    run.print(json ? JSON.stringify(result) : print(result));
    return result.findings.length === 0 ? exitCodes.ok : exitCodes.failed;
  } finally {
    archiveStore.close();
  }
}

function print({ stack, tradingDay, findings, closed, notClosed }: GuardResult): string {
  const day = tradingDay === null ? "no trading day goes on" : `trading day ${tradingDay}`;
  if (findings.length === 0) return `stack ${stack}: all is as it should be (${day})`;
  return [
    `stack ${stack}: found (${day}):`,
    ...findings.map(({ kind, cluster, text, pricePerHour, told }) => {
      const where = cluster === null ? "" : ` ${cluster}`;
      const price = pricePerHour === null ? "" : `, ${pricePerHour} EUR per started hour (net)`;
      return `  ${kind}${where}${price}${told ? ", told" : ""}:\n    ${text.replaceAll("\n", "\n    ")}`;
    }),
    ...closed.map((name) => `closed: ${name}`),
    ...notClosed.map((reason) => `not closed: ${reason}`),
  ].join("\n");
}
