/** What a person sees while a day runs: one line an event, with the time since the start. */
import type { Writable } from "node:stream";

export class Progress {
  readonly #started = performance.now();
  /** Where the progress goes. */
  readonly output: Writable;

  constructor(output: Writable) {
    this.output = output;
  }

  /** Seconds since the day's start. */
  get seconds(): number {
    return (performance.now() - this.#started) / 1000;
  }

  /** A heading: a new phase of the day. */
  phase(title: string): void {
    this.output.write(`\n${this.#stamp()} ${title}\n`);
  }

  line(text: string): void {
    this.output.write(`${this.#stamp()}   ${text}\n`);
  }

  #stamp(): string {
    return `[${this.seconds.toFixed(1).padStart(6)} s]`;
  }
}
