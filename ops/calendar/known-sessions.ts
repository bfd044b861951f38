/**
 * The sessions that commands go by: Alpaca's word where it can be had, which wins, held against the stored rules;
 * the stored rules otherwise. People are told which, and where both differ.
 */
import type { SessionSource, SessionTimes } from "./session-source.ts";
import { storedRules } from "./stored-rules.ts";
import { firstOfMonth } from "./trading-day.ts";
import { plusDays, zonedTime } from "./zoned-time.ts";

/** See the module's description. */
export class KnownSessions implements SessionSource {
  readonly #venue: SessionSource | undefined;
  readonly #note: (line: string) => void;
  /** By month, `YYYY-MM`. */
  readonly #months = new Map<string, ReadonlyMap<string, SessionTimes>>();
  readonly #differences: string[] = [];
  /** The venue was asked in vain: it is not waited for again. */
  #gaveUp = false;
  #venueAnswered = false;
  /** Ends when all that was asked before has been learnt: the same month is not asked for, or told of, twice. */
  #turn: Promise<void> = Promise.resolve();

  /**
   * @param venue the venue's calendar. Default: the stored rules alone
   * @param note told what people should know
   */
  constructor(venue: SessionSource | undefined, note: (line: string) => void) {
    this.#venue = venue;
    this.#note = note;
  }

  /** Who has been believed so far. */
  get name(): string {
    const { name } = storedRules;
    if (this.#venue === undefined) return name;
    if (!this.#gaveUp) return this.#venue.name;
    return this.#venueAnswered ? `${this.#venue.name}, in part ${name}` : name;
  }

  /** A sentence for each date at which the venue and the stored rules differed. */
  get differences(): readonly string[] {
    return this.#differences;
  }

  /** @throws CalendarError for years that the stored rules do not know */
  async sessions(first: string, last: string): Promise<ReadonlyMap<string, SessionTimes>> {
    const months = monthsOf(first, last);
    const turn = this.#turn.then(async () => {
      const missing = months.filter((month) => !this.#months.has(month));
      const [from, to] = [missing[0], missing.at(-1)];
      if (from !== undefined && to !== undefined) await this.#learn(from, to);
    });
    this.#turn = turn.catch(() => undefined);
    await turn;
    const all = months.flatMap((month) => [...(this.#months.get(month) ?? [])]);
    return new Map(all.filter(([date]) => first <= date && date <= last));
  }

  /** Whole months, both inclusive: a month's cap counts from its first day. */
  async #learn(from: string, to: string): Promise<void> {
    const [first, last] = [`${from}-01`, lastOf(to)];
    const stored = await storedRules.sessions(first, last);
    const told = await this.#ask(first, last);
    for (const month of monthsOf(first, last)) {
      const [ours, theirs] = [stored, told].map((sessions) => within(month, sessions)) as [
        Map<string, SessionTimes>,
        Map<string, SessionTimes>,
      ];
      // The venue's calendar ends somewhere; the exchange was never closed for a month.
      const believed = theirs.size > 0 ? theirs : ours;
      if (believed === theirs) this.#compare(ours, theirs);
      else if (told !== undefined)
        this.#note(`${this.#venue?.name} knows no session in ${month}: the stored rules are used.`);
      this.#months.set(month, believed);
    }
  }

  async #ask(first: string, last: string): Promise<ReadonlyMap<string, SessionTimes> | undefined> {
    if (this.#venue === undefined || this.#gaveUp) return undefined;
    try {
      const told = await this.#venue.sessions(first, last);
      this.#venueAnswered = true;
      return told;
    } catch (error) {
      // An interrupted command, or a mistake of ours.
      if (!(error instanceof Error) || error.name !== "AlpacaCalendarError") throw error;
      this.#gaveUp = true;
      this.#note(
        `The calendar cannot be had from ${error.message}; ${storedRules.name} are used, which know nothing of closures at short notice.`,
      );
      return undefined;
    }
  }

  #compare(ours: ReadonlyMap<string, SessionTimes>, theirs: ReadonlyMap<string, SessionTimes>): void {
    const dates = [...new Set([...ours.keys(), ...theirs.keys()])].sort();
    for (const date of dates) {
      const [our, their] = [describe(ours.get(date)), describe(theirs.get(date))];
      if (our === their || this.#months.has(date.slice(0, 7))) continue;
      const difference = `${date}: ${this.#venue?.name} says ${their}, ${storedRules.name} say ${our}; the former is believed.`;
      this.#differences.push(difference);
      this.#note(difference);
    }
  }
}

function describe(session: SessionTimes | undefined): string {
  if (session === undefined) return "no session";
  const [open, close] = [session.open, session.close].map((at) => zonedTime(at, "America/New_York").time);
  return `${open} to ${close} in New York`;
}

function within(
  month: string,
  sessions: ReadonlyMap<string, SessionTimes> | undefined,
): Map<string, SessionTimes> {
  return new Map([...(sessions ?? [])].filter(([date]) => date.startsWith(month)));
}

/** `YYYY-MM` of all months that a span touches. */
function monthsOf(first: string, last: string): string[] {
  const months: string[] = [];
  for (let day = firstOfMonth(first); day <= last; day = firstOfMonth(plusDays(day, 32)))
    months.push(day.slice(0, 7));
  return months;
}

function lastOf(month: string): string {
  return plusDays(firstOfMonth(plusDays(`${month}-01`, 32)), -1);
}
