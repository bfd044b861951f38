/** From decisions to commands: ids that follow from the event, the whole checked by the schema. */
import type { OutgoingRecord } from "../bus/record.ts";
import { topics } from "../bus/topics.ts";
import { derivedFrom, encodeEvent, type Event } from "../core/envelope.ts";
import { mistakesOf, newEvent } from "../core/events.ts";
import { derivedEventId } from "../core/ids.ts";
import type { Canary } from "../core/market-data.ts";
import { fromInstant, toInstant } from "../core/time.ts";
import { executeTrade, type ExecuteTrade } from "../core/trading.ts";
import type { Decision } from "./strategy.ts";

/** Largest command, in bytes: far above what any needs, far below what a broker takes. */
const maximumBytes = 64 * 1024;

/** A canary that is on its way for longer than this has not passed, in milliseconds. */
const canaryLifeMs = 60_000;

/** A strategy could not react to an event, or made a command that is none: a mistake in the strategy. */
export class StrategyError extends Error {
  constructor(strategy: string, mistake: string, options?: ErrorOptions) {
    super(`strategy ${strategy}: ${mistake}`, options);
    this.name = "StrategyError";
  }
}

/**
 * Turns decisions into commands, whose ids follow from the strategy, the event and the position.
 * @throws StrategyError that names everything the schema refuses in them.
 */
export function commandsOf(
  strategy: string,
  cause: Event,
  decisions: readonly Decision[],
): Event<ExecuteTrade>[] {
  const mistakes: string[] = [];
  const commands = decisions.map((decision, index) => {
    const { action = `${cause.event_id}:${index}`, ...rest } = decision;
    const command = commandOf(strategy, cause, index, { ...rest, idempotency_key: `${strategy}:${action}` });
    const checked = executeTrade.safeParse(command.payload);
    if (!checked.success) {
      mistakes.push(...mistakesOf(checked.error).map((mistake) => `decision ${index}: ${mistake}`));
    }
    return command;
  });
  if (mistakes.length > 0) throw new StrategyError(strategy, mistakes.join("; "));
  return commands;
}

/** The answer to a canary: a command that no venue sees, whose result tells the monitor that the way is open. */
export function canaryCommand(strategy: string, canary: Event<Canary>): Event<ExecuteTrade> {
  const { canary_id, sent_at } = canary.payload;
  return commandOf(strategy, canary, 0, {
    idempotency_key: `canary:${strategy}:${canary.event_id}`,
    venue: canary.venue,
    deadline: toInstant(fromInstant(sent_at) + canaryLifeMs),
    limits: {},
    instruction: { kind: "canary", canary_id },
  });
}

function commandOf(
  strategy: string,
  cause: Event,
  index: number,
  decided: Omit<ExecuteTrade, "command_id" | "strategy">,
): Event<ExecuteTrade> {
  const id = derivedEventId("cmd.execute_trade", cause.event_id, strategy, String(index));
  return newEvent("cmd.execute_trade", {
    event_id: id,
    venue: decided.venue,
    payload: { command_id: id, strategy, ...decided },
    ...derivedFrom(cause),
  });
}

/**
 * The command's record. Commands of a pair or symbol at a venue keep their order.
 * @throws StrategyError when it is larger than any command needs to be.
 */
export function commandRecord(command: Event<ExecuteTrade>): OutgoingRecord {
  const value = encodeEvent(command);
  if (value.length > maximumBytes) {
    throw new StrategyError(
      command.payload.strategy,
      `a command has ${value.length} bytes, expected at most ${maximumBytes}`,
    );
  }
  return { topic: topics.executeTrade.name, key: `${command.venue}|${traded(command.payload)}`, value };
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
