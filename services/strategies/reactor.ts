/**
 * What a strategy is: a pure function from its state (one per key) and an event to the next state and
 * commands. It sees no clock and no randomness, so the same events give the same commands.
 */
import type { OutgoingRecord } from "../bus/record.ts";
import { topics } from "../bus/topics.ts";
import { startStage } from "../bus/stage.ts";
import { derivedFrom, encodeEvent, type Event } from "../core/envelope.ts";
import { newEvent } from "../core/events.ts";
import { type ExecuteTrade } from "../core/trading.ts";
import { type SwapDemand } from "../core/market-data.ts";
import { derivedEventId } from "../core/ids.ts";
import type { ServiceContext } from "../core/service.ts";

/** A command as a strategy gives it; ids are added by {@link commandsOf}. */
export type Decision = Omit<ExecuteTrade, "command_id" | "strategy">;

/** A strategy that reacts to swap demands. */
export interface Strategy<State> {
  /** Part of the ids of its commands. */
  readonly name: string;
  /** What tells independent states apart, for example the pair of assets. */
  keyOf(event: Event<SwapDemand>): string;
  /** The state of a key that has not been seen. */
  readonly initial: State;
  /** The reducer. Must not change `state`. */
  react(state: State, event: Event<SwapDemand>): { state: State; decisions: readonly Decision[] };
}

/** Runs a strategy: keeps the states and gives the decisions their ids. */
export class Reactor<State> {
  readonly #strategy: Strategy<State>;
  readonly #states = new Map<string, State>();

  constructor(strategy: Strategy<State>) {
    this.#strategy = strategy;
  }

  /** The commands that follow from an event. */
  react(event: Event<SwapDemand>): Event<ExecuteTrade>[] {
    const key = this.#strategy.keyOf(event);
    const { state, decisions } = this.#strategy.react(this.#states.get(key) ?? this.#strategy.initial, event);
    this.#states.set(key, state);
    return commandsOf(this.#strategy.name, event, decisions);
  }
}

/** Turns decisions into commands, whose ids follow from the strategy, the event and the position. */
export function commandsOf(
  strategy: string,
  cause: Event<SwapDemand>,
  decisions: readonly Decision[],
): Event<ExecuteTrade>[] {
  return decisions.map((decision, index) => {
    const id = derivedEventId("cmd.execute_trade", cause.event_id, strategy, String(index));
    return newEvent("cmd.execute_trade", {
      event_id: id,
      venue: decision.venue,
      payload: { command_id: id, strategy, ...decision },
      ...derivedFrom(cause),
    });
  });
}

/** The command's record. Commands of a pair at a venue keep their order. */
export function commandRecord(command: Event<ExecuteTrade>): OutgoingRecord {
  return {
    topic: topics.executeTrade.name,
    key: `${command.venue}|${traded(command.payload)}`,
    value: encodeEvent(command),
  };
}

/** What a command trades: the pair of assets or the symbol. */
function traded({ instruction }: ExecuteTrade): string {
  switch (instruction.kind) {
    case "answer_swap":
      return `${instruction.asset_in}|${instruction.asset_out}`;
    case "place_order":
      return instruction.symbol;
    case "canary":
      return instruction.canary_id;
  }
}

/** Starts a service that runs one strategy. @throws KafkaJSError when no broker answers. */
export function startStrategy<State>(context: ServiceContext, strategy: Strategy<State>): Promise<void> {
  const reactor = new Reactor(strategy);
  return startStage({
    context,
    topic: topics.swapDemand.name,
    type: "norm.swap_demand",
    transform: (event) => reactor.react(event).map(commandRecord),
  });
}
