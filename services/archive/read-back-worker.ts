/**
 * The thread that reads archived objects back: unpacks, decodes every line and computes the chain anew from the bytes
 * alone. It shares nothing with the code that wrote them.
 */
import { setPriority } from "node:os";
import { parentPort } from "node:worker_threads";
import type { OffsetRange } from "./layout.ts";
import { type ObjectContent, scanObject } from "./object.ts";
import type { ChainPoint } from "./record-hash.ts";

/** What is asked of the thread; the body's memory goes over to it. */
export interface ScanRequest {
  id: number;
  name: string;
  range: OffsetRange;
  body: Uint8Array;
  before: Readonly<ChainPoint>;
}

/** What the thread answers: what the object holds, or why it cannot be read. */
export interface ScanAnswer {
  id: number;
  /**
   * Goes back although nobody wants it: here bodies would live until 64 MiB of them have come together, because that is
   * when V8 collects memory outside of a heap with little in it.
   */
  body: Uint8Array;
  content?: ObjectContent;
  failure?: string;
}

/** Behind the export and everything else on the machine (Linux counts this per thread); 0 is usual. */
const niceness = 10;
try {
  setPriority(niceness);
} catch {
  // Then it runs beside them.
}

parentPort?.on("message", ({ id, name, range, body, before }: ScanRequest) => {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  const answer = (found: Pick<ScanAnswer, "content" | "failure">): void =>
    parentPort?.postMessage({ id, body, ...found } satisfies ScanAnswer, [body.buffer as ArrayBuffer]);
  scanObject(name, range, bytes, before).then(
    (content) => answer({ content }),
    (error: unknown) => answer({ failure: (error as Error).message }),
  );
});
