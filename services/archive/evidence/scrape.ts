/** What metrics endpoints show at the moment of the seal, as they print it for Prometheus. */
import type { EvidenceSource } from "./collect.ts";
import { get, readBody } from "./http.ts";
import { type EvidenceOutput, safeName } from "./output.ts";

/** A page of metrics has some ten kilobytes; this much of it is kept. */
const pageBytes = 16 * 1024 * 1024;

/** An endpoint and what it is called in the archive. */
export interface ScrapeTarget {
  name: string;
  url: string;
}

/** See the module's description. */
export class ScrapeEvidence implements EvidenceSource {
  readonly name = "metrics";
  readonly #targets: readonly ScrapeTarget[];

  constructor(targets: readonly ScrapeTarget[]) {
    this.#targets = targets;
  }

  async collect(output: EvidenceOutput, _period: unknown, signal: AbortSignal): Promise<void> {
    await Promise.all(
      this.#targets.map(async ({ name, url }) => {
        const body = await this.#scrape(url, signal).catch((error: unknown) => {
          signal.throwIfAborted();
          output.missing(`metrics of ${name}: ${(error as Error).message}`);
          return undefined;
        });
        if (body === undefined) return;
        const file = output.file(safeName(name), "prom");
        await file.write(body);
        await file.end();
      }),
    );
  }

  async #scrape(url: string, signal: AbortSignal): Promise<Buffer> {
    return readBody(await get(new URL(url), { signal }), pageBytes);
  }
}
