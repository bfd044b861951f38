/** Runs of other programs that end by themselves: what they print, or why they failed. */
import { once } from "node:events";
import { createReadStream } from "node:fs";
import type { LabProcess } from "../lab/processes.ts";

/** A measurement's process failed. */
export class MeasurementError extends Error {
  override readonly name = "MeasurementError";
}

/** Longest that one measurement may take. */
export const measurementDeadlineMs = 180_000;

/**
 * What a process prints, once it has ended well; empty when its output goes elsewhere.
 * @throws MeasurementError with its last words; the signal's reason.
 */
export async function outputOf(running: LabProcess, signal: AbortSignal): Promise<string> {
  let printed = "";
  let complained = "";
  running.child.stdout?.on("data", (chunk: Buffer) => (printed += chunk.toString("utf8")));
  running.child.stderr?.on("data", (chunk: Buffer) => {
    complained = (complained + chunk.toString("utf8")).slice(-4_000);
  });
  const late = AbortSignal.any([signal, AbortSignal.timeout(measurementDeadlineMs)]);
  const closed = once(running.child, "close");
  const end = await Promise.race([running.exited, once(late, "abort").then(() => "late" as const)]);
  if (end === "late") {
    await running.stop(500);
    signal.throwIfAborted();
    throw new MeasurementError(`${running.name}: not done after ${measurementDeadlineMs / 1_000} s`);
  }
  await closed;
  if (end !== 0) {
    throw new MeasurementError(
      `${running.name} ended with ${end === null ? "a signal" : `exit code ${end}`}. Its last words:\n${complained || printed.slice(-4_000)}`,
    );
  }
  return printed;
}

/** Number of lines in a file, however large. */
export async function countLines(file: string): Promise<number> {
  let lines = 0;
  for await (const chunk of createReadStream(file, { highWaterMark: 1024 * 1024 })) {
    const bytes = chunk as Buffer;
    for (let at = bytes.indexOf(10); at !== -1; at = bytes.indexOf(10, at + 1)) lines++;
  }
  return lines;
}
