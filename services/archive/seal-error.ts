/** A seal could not be made; the message says what is missing and what to do, and is shown to the operator. */
export class SealError extends Error {
  override readonly name = "SealError";
}
