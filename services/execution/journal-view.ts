/** The whole journal of a venue, over all partitions and owners, read on from where the last look ended. */
import type { Kafka } from "../bus/kafka.ts";
import { readPartition } from "../bus/partition-log.ts";
import { topics } from "../bus/topics.ts";
import type { ServiceContext } from "../core/service.ts";
import { Books, type PendingCommand } from "./account.ts";
import { Recovery, type OpenCommand } from "./journal.ts";

/** See the module's description. */
export class JournalView {
  readonly books = new Books();
  readonly #kafka: Kafka;
  readonly #context: Pick<ServiceContext, "logger">;
  /** Commands that ended since the last call of {@link mark}. */
  #ended: PendingCommand[] = [];
  readonly #partitions: { recovery: Recovery; from: bigint | "start" }[];

  /** @param venue whose commands are looked at. */
  constructor(kafka: Kafka, venue: string, context: Pick<ServiceContext, "logger">) {
    this.#kafka = kafka;
    this.#context = context;
    this.#partitions = Array.from({ length: topics.journal.partitions }, () => ({
      recovery: new Recovery(venue, (ended, reference) => {
        this.books.take(ended, reference);
        this.#ended.push({ command: ended.command, reference });
      }),
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

  /**
   * Notes what is known now.
   * @returns the books of this moment, and a function that gives the commands which were open then or began since.
   */
  mark(): { books: Books; pending: () => PendingCommand[] } {
    this.#ended = [];
    const before = this.#pending;
    const pending = (): PendingCommand[] => {
      const all = [...before, ...this.#ended, ...this.#pending];
      return [...new Map(all.map((each) => [each.command.command_id, each])).values()];
    };
    return { books: this.books.copy(), pending };
  }

  get #pending(): PendingCommand[] {
    return this.open.map(({ event, reference }) => ({ command: event.payload, reference }));
  }

  /** Commands that had not ended at the last look. */
  get open(): OpenCommand[] {
    return this.#partitions.flatMap(({ recovery }) => [...recovery.open.values()]);
  }
}
