/**
 * The raw samples of every series that Prometheus has of the day, over its HTTP API: an instant query with a range selector
 * gives samples as they were scraped, while a range query would compute new ones.
 * https://prometheus.io/docs/prometheus/latest/querying/api/
 */
import { z } from "zod";
import { mapConcurrently } from "../concurrency.ts";
import { ArchiveStoreError } from "../store.ts";
import type { EvidencePeriod, EvidenceSource } from "./collect.ts";
import { EvidenceHttpError, get, readBody } from "./http.ts";
import type { EvidenceOutput } from "./output.ts";

/** An answer longer than this is asked for again in two halves, in bytes. */
const answerBytes = 8 * 1024 * 1024;
/** A shorter piece of time is not divided any more, in seconds. */
const shortestSeconds = 60;
/** Questions at the same time. */
const concurrency = 4;
/** Of the list of names, in bytes. */
const namesBytes = 16 * 1024 * 1024;

const names = z.object({ status: z.literal("success"), data: z.array(z.string()) });
const samples = z.object({
  status: z.literal("success"),
  data: z.object({
    resultType: z.literal("matrix"),
    result: z.array(
      z.looseObject({
        metric: z.record(z.string(), z.string()),
        /** Time in seconds since the epoch, and the value as text. */
        values: z.array(z.tuple([z.number(), z.string()])).default([]),
      }),
    ),
  }),
});

/** See the module's description. */
export class PrometheusEvidence implements EvidenceSource {
  readonly name = "prometheus";
  readonly #url: string;

  /** @param url of Prometheus, for example `http://prometheus-operated.monitoring.svc.cluster.local:9090`. */
  constructor(url: string) {
    this.#url = url;
  }

  async collect(output: EvidenceOutput, { from, to }: EvidencePeriod, signal: AbortSignal): Promise<void> {
    const found = await this.#names(signal);
    const file = output.file("samples", "ndjson");
    const end = Math.ceil(to / 1_000);
    const seconds = Math.max(shortestSeconds, end - Math.floor(from / 1_000));
    // One file for all metrics, written by one at a time.
    let turn = Promise.resolve();
    try {
      await mapConcurrently(found, concurrency, async (name) => {
        try {
          for await (const lines of this.#samples(name, end, seconds, output, signal)) {
            const written = turn.then(() => file.write(lines));
            turn = written.catch(() => undefined);
            await written;
          }
        } catch (error) {
          signal.throwIfAborted();
          if (error instanceof ArchiveStoreError) throw error;
          output.missing(`samples of ${name}: ${(error as Error).message}`);
        }
      });
    } finally {
      await turn;
      await file.end();
    }
  }

  async #names(signal: AbortSignal): Promise<string[]> {
    const url = new URL("/api/v1/label/__name__/values", this.#url);
    const body = await readBody(await get(url, { signal }), namesBytes);
    return names.parse(JSON.parse(body.toString("utf8"))).data;
  }

  /** The samples of one metric as lines, one a series and piece of time: `{"metric":{…},"values":[[seconds,"value"],…]}`. */
  async *#samples(
    name: string,
    end: number,
    seconds: number,
    output: EvidenceOutput,
    signal: AbortSignal,
  ): AsyncGenerator<string> {
    const url = new URL("/api/v1/query", this.#url);
    const query = `{__name__=${JSON.stringify(name)}}[${seconds}s]`;
    url.search = new URLSearchParams({ query, time: String(end) }).toString();
    let body: Buffer | undefined;
    let reason = `its samples of ${seconds} s are more than ${answerBytes} bytes`;
    try {
      const answer = await readBody(await get(url, { signal }), answerBytes + 1);
      if (answer.length <= answerBytes) body = answer;
    } catch (error) {
      if (!(error instanceof EvidenceHttpError)) throw error;
      // 422: Prometheus would have to load more samples than a query may.
      if (error.status !== 422) return output.missing(`samples of ${name}: ${error.message}`);
      reason = error.message;
    }
    if (body !== undefined) {
      const { result } = samples.parse(JSON.parse(body.toString("utf8"))).data;
      if (result.length > 0) yield result.map((series) => `${JSON.stringify(series)}\n`).join("");
      return;
    }
    if (seconds <= shortestSeconds) {
      return output.missing(`samples of ${name} in the ${seconds} s before ${end}: ${reason}`);
    }
    const half = Math.ceil(seconds / 2);
    yield* this.#samples(name, end - half, seconds - half, output, signal);
    yield* this.#samples(name, end, half, output, signal);
  }
}
