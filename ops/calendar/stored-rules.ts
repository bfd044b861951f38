/** The exchange's own rules as a source: they need no network and know nothing that was decided at short notice. */
import { sessionOf } from "../../services/core/exchange-calendar.ts";
import type { SessionSource, SessionTimes } from "./session-source.ts";
import { plusDays } from "./zoned-time.ts";

/** @throws CalendarError for a date outside of the years that the rules are right for */
export function storedSession(date: string): SessionTimes | undefined {
  const session = sessionOf(date);
  if (session === undefined) return undefined;
  const { open, close, closesEarly } = session;
  return { open, close, closesEarly };
}

/** See the module's description. */
export const storedRules: SessionSource = {
  name: "the stored rules of the New York Stock Exchange",
  sessions: async (first, last) => {
    const found = new Map<string, SessionTimes>();
    for (let date = first; date <= last; date = plusDays(date, 1)) {
      const session = storedSession(date);
      if (session !== undefined) found.set(date, session);
    }
    return found;
  },
};
