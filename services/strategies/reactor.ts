/**
 * A strategy over one partition: its states, and the position up to which records have changed them. Records that
 * come again change nothing, and what was applied before a restart is applied again without output, so that states
 * follow from the topic alone.
 *
 * Nor does an event count twice that stands on the topic twice, because a normalizer that was killed has written it again:
 * to the strategy it would look like a price of before that is back, and the orders of the day would follow from
 * who was killed when, so that no replay could repeat them.
 */
import type { OutgoingRecord, ReceivedRecord } from "../bus/record.ts";
import { topics, type TopicDefinition } from "../bus/topics.ts";
import { RefusedEventError } from "../bus/stage.ts";
import type { Event } from "../core/envelope.ts";
import { decodeEventOf, InvalidEventError, type EventOf, type EventType } from "../core/events.ts";
import { canaryCommand, commandRecord, commandsOf, StrategyError } from "./commands.ts";
import type { InputType, Strategy } from "./strategy.ts";

/** The topics that hold events of these types. */
export function topicsOf(inputs: readonly InputType[]): TopicDefinition[] {
  return Object.values(topics).filter(({ schemas }: TopicDefinition) =>
    inputs.some((type) => schemas.includes(type)),
  );
}

/**
 * So many events of a partition are remembered, twice at most. A normalizer repeats what it had in hand (2,000 records)
 * and what it had not committed yet.
 */
const rememberedEvents = 20_000;

/** What a record led to. */
export type Outcome =
  /** It, or its event in an earlier record, had been applied before; nothing changed. */
  | { kind: "known" }
  /** These commands, perhaps none. */
  | { kind: "reacted"; commands: readonly OutgoingRecord[]; cause: Event }
  /** It cannot be used; the state is as it was. */
  | { kind: "refused"; error: Error };

/** See the module's description. */
export class Reactor<Input extends InputType, State> {
  readonly #strategy: Strategy<Input, State>;
  readonly #types: readonly [EventType, ...EventType[]];
  readonly #states = new Map<string, State>();
  /** Ids of the events that were taken last, and of those before them. */
  #recent = new Set<string>();
  #earlier = new Set<string>();
  #position = 0n;

  /** @param topic name of the topic whose partition this is. */
  constructor(strategy: Strategy<Input, State>, topic: string) {
    this.#strategy = strategy;
    const [first, ...others] = topicsOf(strategy.inputs).find(({ name }) => name === topic)?.schemas ?? [];
    if (first === undefined) {
      throw new StrategyError(
        strategy.name,
        `its inputs ${strategy.inputs.join(", ")} do not come on ${topic}`,
      );
    }
    this.#types = [first, ...others];
  }

  /** Offset behind the last record that was applied. */
  get position(): bigint {
    return this.#position;
  }

  /** Applies a record, unless it was applied before. */
  take(record: ReceivedRecord): Outcome {
    const offset = BigInt(record.offset);
    if (offset < this.#position) return { kind: "known" };
    this.#position = offset + 1n;
    try {
      if (record.key === null)
        throw new RefusedEventError("the record has no key, so its order is not defined");
      const event = decodeEventOf(this.#types, record.value);
      if (this.#isRepeated(event.event_id)) return { kind: "known" };
      return {
        kind: "reacted",
        commands: this.#react(record.key.toString("utf8"), event, record),
        cause: event,
      };
    } catch (error) {
      if (!isRefusal(error)) throw error;
      return { kind: "refused", error };
    }
  }

  /** Whether the event was taken before; notes that it is now. Follows from the topic alone, as states do. */
  #isRepeated(id: string): boolean {
    if (this.#recent.has(id) || this.#earlier.has(id)) return true;
    if (this.#recent.size >= rememberedEvents) {
      this.#earlier = this.#recent;
      this.#recent = new Set();
    }
    this.#recent.add(id);
    return false;
  }

  #react(recordKey: string, event: EventOf<EventType>, { partition }: ReceivedRecord): OutgoingRecord[] {
    const { name } = this.#strategy;
    if (event.event_type === "norm.canary") {
      // In the partition of the same number, so that every partition of every topic on the way is passed.
      return [{ ...commandRecord(canaryCommand(name, event)), partition }];
    }
    if (!(this.#strategy.inputs as readonly string[]).includes(event.event_type)) return [];
    const input = event as EventOf<Input>;
    try {
      const divided = this.#strategy.keyOf?.(input) ?? "";
      // The length first, so that no two pairs of keys read the same.
      const key = `${recordKey.length} ${recordKey}${divided}`;
      const before = this.#states.has(key) ? (this.#states.get(key) as State) : this.#strategy.initial;
      const { state, decisions } = this.#strategy.react(before, input);
      const commands = commandsOf(name, event, decisions).map(commandRecord);
      this.#states.set(key, state);
      return commands;
    } catch (error) {
      if (error instanceof StrategyError) throw error;
      // The strategy's own code, in which anything may go wrong.
      const what = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
      throw new StrategyError(name, `threw at ${event.event_type} ${event.event_id}: ${what}`, {
        cause: error,
      });
    }
  }
}

function isRefusal(error: unknown): error is Error {
  return (
    error instanceof StrategyError || error instanceof InvalidEventError || error instanceof RefusedEventError
  );
}
