/** Log files of processes: every file of a directory whose name ends with `.log`, as far as it was written at the call. */
import { createReadStream } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import path from "node:path";
import type { EvidenceSource } from "./collect.ts";
import { type EvidenceOutput, safeName } from "./output.ts";

/** See the module's description. */
export class LogFileEvidence implements EvidenceSource {
  readonly name = "logs";
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  async collect(output: EvidenceOutput, _period: unknown, signal: AbortSignal): Promise<void> {
    const names = (await readdir(this.#directory)).filter((name) => name.endsWith(".log")).sort();
    if (names.length === 0) output.missing(`${this.#directory} holds no file that ends with .log`);
    for (const name of names) {
      signal.throwIfAborted();
      const source = path.join(this.#directory, name);
      const { size } = await stat(source);
      if (size === 0) continue;
      const file = output.file(safeName(name.slice(0, -".log".length)), "log");
      try {
        // Whoever writes goes on, maybe because of this.
        const content = createReadStream(source, { end: size - 1, signal });
        for await (const chunk of content as AsyncIterable<Buffer>) {
          await file.write(chunk);
          if (file.isFull) break;
        }
      } finally {
        await file.end();
      }
    }
  }
}
