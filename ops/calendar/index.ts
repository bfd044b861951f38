/** `trading calendar`: on which days a stack is open, and when. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { calendarYears } from "../../services/core/exchange-calendar.ts";
import { exitCodes } from "../exit-codes.ts";
import { readStack, stackOption } from "../hetzner/settings.ts";
import { runs } from "../run.ts";
import { type Asked, readAgenda } from "./agenda.ts";
import { openCalendar } from "./calendar.ts";
import { printAgenda } from "./print.ts";

interface CalendarOptions {
  stack: string;
  date?: string;
  month?: string;
  days: number;
  json?: boolean;
}

const defaultDays = 10;
const mostDays = 300;

const help = `
trading:schedule and trading:openHours in Pulumi.<stack>.yaml say when the stack is open (docs/calendar.md). The exchange's calendar:
Alpaca's, where APCA_API_KEY_ID and APCA_API_SECRET_KEY are set, at APCA_API_BASE_URL or else trading:venues.alpaca.restUrl;
otherwise, or when it cannot be had, the stored rules of the New York Stock Exchange, which is said on standard error.

Exit code 0, trading day or not. A script reads it from --json: .today.isTradingDay, .today.phase (closed, opening, open,
closing), .today.day.closesAt, .next.beginsAt.`;

/** Adds the command. @param now the present moment; tests give their own. */
export function registerCalendar(program: Command, now: () => Date = () => new Date()): void {
  program
    .command("calendar")
    .description(
      "Whether today is a trading day of the stack, when it opens and closes in UTC and in its own zone, and the days to come, " +
        "with half days and changes of the clocks marked.",
    )
    .addOption(stackOption())
    .addOption(
      new Option("--date <date>", "this business date alone, such as 2025-10-14")
        .argParser(readDate)
        .conflicts(["month", "days"]),
    )
    .addOption(
      new Option("--month <month>", "all of a month, such as 2025-10").argParser(readMonth).conflicts("days"),
    )
    .addOption(
      new Option("--days <number>", `the next trading days, ${mostDays} at most`)
        .argParser(readDays)
        .default(defaultDays),
    )
    .option("--json", "one JSON object instead of tables")
    .addHelpText("after", help)
    .action(
      runs(async (run, { stack, json, ...options }: CalendarOptions) => {
        const calendar = await openCalendar({
          values: readStack(stack),
          environment: process.env,
          signal: run.signal,
          report: run,
        });
        const asked = askedOf(options);
        const agenda = await readAgenda(stack, calendar, now(), asked);
        run.print(json ? JSON.stringify(agenda) : printAgenda(agenda, asked));
        return exitCodes.ok;
      }),
    );
}

function askedOf({ date, month, days }: Pick<CalendarOptions, "date" | "month" | "days">): Asked {
  if (date !== undefined) return { date };
  return month === undefined ? { tradingDays: days } : { month };
}

function readDate(text: string): string {
  const date = new Date(`${text}T00:00:00Z`);
  if (Number.isNaN(date.getTime()) || date.toISOString().slice(0, 10) !== text || !isKnownYear(text))
    throw new InvalidArgumentError(`Expected a date such as 2025-10-14, ${knownYears}.`);
  return text;
}

function readMonth(text: string): string {
  if (!/^\d{4}-(0[1-9]|1[0-2])$/.test(text) || !isKnownYear(text))
    throw new InvalidArgumentError(`Expected a month such as 2025-10, ${knownYears}.`);
  return text;
}

const knownYears = `in the years ${calendarYears.first} to ${calendarYears.last}, whose holidays are known`;

function isKnownYear(text: string): boolean {
  const year = Number(text.slice(0, 4));
  return calendarYears.first <= year && year <= calendarYears.last;
}

function readDays(text: string): number {
  const days = Number(text);
  if (!/^\d+$/.test(text) || days < 1 || days > mostDays)
    throw new InvalidArgumentError(`Expected a whole number from 1 to ${mostDays}.`);
  return days;
}
