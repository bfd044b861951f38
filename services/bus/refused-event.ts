/** A transformation refuses an event: it is put on the dead-letter topic and the stream goes on. */
export class RefusedEventError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "RefusedEventError";
  }
}
