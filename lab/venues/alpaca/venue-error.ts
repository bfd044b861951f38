/** What the venue answers when it refuses. */
export class VenueError extends Error {
  readonly status: number;
  readonly code: number;

  /** @param status HTTP status. @param code Alpaca's code in the body. */
  constructor(status: number, code: number, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}
