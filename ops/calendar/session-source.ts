/** Where the exchange's sessions are known from. */

/** Regular hours of one session of the exchange. */
export interface SessionTimes {
  /** The bell: 09:30 in New York. */
  readonly open: Date;
  /** 16:00 in New York, 13:00 on a half day. */
  readonly close: Date;
  readonly closesEarly: boolean;
}

/** A source of sessions. */
export interface SessionSource {
  /** For people: what is asked. */
  readonly name: string;
  /**
   * The sessions of a span by their date in New York; a date that is not among them has none.
   * @param first `YYYY-MM-DD`
   * @param last inclusive
   */
  sessions(first: string, last: string): Promise<ReadonlyMap<string, SessionTimes>>;
}
