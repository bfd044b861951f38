/** The whole journal of a venue, over all partitions and owners, read on from where the last look ended. */
import type { Kafka } from "../bus/kafka.ts";
import { readPartition } from "../bus/partition-log.ts";
import { topics } from "../bus/topics.ts";
import type { ServiceContext } from "../core/service.ts";
import { Books } from "./account.ts";
import { Recovery, type OpenCommand } from "./journal.ts";

/** See the module's description. */
export class JournalView {
  readonly books = new Books();
  readonly #kafka: Kafka;
  readonly #context: Pick<ServiceContext, "logger">;
  readonly #partitions: { recovery: Recovery; from: bigint | "start" }[];

  /** @param venue whose commands are looked at. */
  constructor(kafka: Kafka, venue: string, context: Pick<ServiceContext, "logger">) {
    this.#kafka = kafka;
    this.#context = context;
    this.#partitions = Array.from({ length: topics.journal.partitions }, () => ({
      recovery: new Recovery(venue, (ended, reference) => this.books.take(ended, reference)),
      from: "start" as const,
    }));
  }

  /** Reads to the ends that the partitions have now. @throws JournalError; the signal's reason. */
  async read(signal: AbortSignal): Promise<void> {
    await Promise.all(
      this.#partitions.map(async (state, partition) => {
        state.from = await readPartition({
          kafka: this.#kafka,
          topic: topics.journal.name,
          partition,
          from: state.from,
          onRecord: (record) => state.recovery.take(record),
          signal,
          logger: this.#context.logger,
        });
      }),
    );
  }

  /** Commands that had not ended at the last look. */
  get open(): OpenCommand[] {
    return this.#partitions.flatMap(({ recovery }) => [...recovery.open.values()]);
  }
}
