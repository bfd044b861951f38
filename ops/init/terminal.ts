/** Questions at a terminal, on standard error: standard output is for results. */
import { createInterface, type Interface } from "node:readline/promises";
import { Writable } from "node:stream";
import { UsageError } from "../run.ts";

/** Whoever is asked. */
export interface Dialogue {
  /** Shows a text. */
  say(text: string): void;
  /** Asks for one line. @param hidden what is typed is not shown @returns without blanks at its ends; may be empty */
  ask(question: string, hidden?: boolean): Promise<string>;
  close(): void;
}

/**
 * Opens the dialogue with the person at this terminal. Ctrl-C is passed on to the process, as without a dialogue;
 * the end of the input ends the command.
 */
export function openTerminal(signal: AbortSignal): Dialogue {
  let isHidden = true;
  const output = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      if (isHidden) done();
      else process.stderr.write(chunk, () => done());
    },
  });
  // No history: the arrow keys would show a secret that was typed before.
  const lines: Interface = createInterface({
    input: process.stdin,
    output,
    terminal: true,
    historySize: 0,
  });
  const ended = new AbortController();
  lines.on("SIGINT", () => process.kill(process.pid, "SIGINT"));
  lines.on("close", () => ended.abort(new UsageError("The input ended. Nothing was written.")));
  return {
    say: (text) => void process.stderr.write(`${text}\n`),
    ask: async (question, hidden = false) => {
      const until = AbortSignal.any([signal, ended.signal]);
      until.throwIfAborted();
      // With a hidden answer readline would hide its question, too.
      if (hidden) process.stderr.write(question);
      isHidden = hidden;
      try {
        return (await lines.question(hidden ? "" : question, { signal: until })).trim();
      } catch (error) {
        until.throwIfAborted();
        throw error;
      } finally {
        isHidden = true;
        if (hidden) process.stderr.write("\n");
      }
    },
    close: () => lines.close(),
  };
}
