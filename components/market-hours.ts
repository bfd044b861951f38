/** Regular hours of the US stock market, in New York time. Half days and holidays are the calendar's business. */
const open = { hour: 9, minute: 30 };
const close = { hour: 16, minute: 0 };

/** Offset of New York from UTC at a moment, in minutes (negative). */
function newYorkOffset(moment: Date): number {
  const parts = new Intl.DateTimeFormat("en-US", {
    timeZone: "America/New_York",
    timeZoneName: "longOffset",
  }).formatToParts(moment);
  const name = parts.find((part) => part.type === "timeZoneName")?.value ?? "";
  const match = /^GMT([+-])(\d{2}):(\d{2})$/.exec(name);
  if (match === null) throw new Error(`cannot read the offset of New York from "${name}"`);
  return (match[1] === "-" ? -1 : 1) * (Number(match[2]) * 60 + Number(match[3]));
}

/**
 * When the market is open on a date.
 * @param businessDate `YYYY-MM-DD` in New York.
 * @returns epoch seconds of open and close.
 */
export function marketHours(businessDate: string): { opensAt: number; closesAt: number } {
  // Clocks change at 2 in the morning, so noon has the offset of the whole session.
  const noon = new Date(`${businessDate}T17:00:00Z`);
  const offset = newYorkOffset(noon);
  const at = (time: { hour: number; minute: number }) =>
    Date.parse(`${businessDate}T00:00:00Z`) / 1000 + (time.hour * 60 + time.minute - offset) * 60;
  return { opensAt: at(open), closesAt: at(close) };
}
