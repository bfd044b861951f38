/**
 * What a strategy is: a pure function from its state and an event to the next state and decisions. It sees no
 * clock, no randomness and nothing else that changes, so the same events give the same commands: a replayed day
 * decides as the day itself did. docs/strategies.md shows how to add one.
 */
import type { EventOf, EventType } from "../core/events.ts";
import type { ExecuteTrade } from "../core/trading.ts";

/**
 * The events a strategy may take. Results of its own commands are not among them: they come on another topic, so
 * their order against market data is not the same in a replay, and neither would the decisions be.
 */
export const inputTypes = [
  "norm.swap_demand",
  "norm.stock_trade",
  "norm.stock_trade_correction",
  "norm.stock_trade_cancel",
  "norm.stock_quote",
  "norm.stock_bar",
] as const satisfies readonly EventType[];
export type InputType = (typeof inputTypes)[number];

/** What to do, as a strategy says it; ids and its name are added, then the schema checks the whole command. */
export type Decision = Omit<ExecuteTrade, "command_id" | "strategy" | "idempotency_key"> & {
  /**
   * Same for all decisions of the strategy that mean the same action, of which only one is to be executed: the
   * command's key is `<strategy>:<action>`. It is compared among commands for one symbol (or pair of assets) at one
   * venue, which share a partition; it does not reach further. Default: the event's id and the decision's position, so
   * that every decision is an action of its own.
   */
  action?: string;
};

/** What follows from an event. */
export interface Reaction<State> {
  state: State;
  /** In the order they are to be carried out. */
  decisions: readonly Decision[];
}

/** A strategy. `Input`: the types of the events it takes; `State`: what it remembers. */
export interface Strategy<Input extends InputType, State> {
  /**
   * Its name: lower case letters, digits and hyphens. Part of the ids of its commands, so it must not change and no
   * two strategies may share it. The deployable, and with it the consumer group, is called `strategy-<name>`.
   */
  readonly name: string;
  /** The types of the events it takes; other events of the same topics are passed over. */
  readonly inputs: readonly [Input, ...Input[]];
  /**
   * Tells states apart. Each topic has a state for each key of its records (the symbol, or the pair of assets), because
   * only such records have an order that a replay repeats; `keyOf` divides it further, for example by exchange.
   * Default: not divided.
   */
  keyOf?(event: EventOf<Input>): string;
  /** The state where no event has been seen. */
  readonly initial: State;
  /**
   * The reducer. Must be pure and must not change `state`.
   * When it throws, or makes a command that the schema refuses, the event goes to the dead letters, the state stays as
   * it was, and the next event comes.
   */
  react(state: State, event: EventOf<Input>): Reaction<State>;
}
