/** Carries a plan out: each action at its time, actions on one process one after the other, brokers one at a time. */
import { setTimeout as delay } from "node:timers/promises";
import type { Action, Plan } from "./plan.ts";
import type { Poisoner } from "./poison.ts";
import { nextOrder, type Watch } from "./watch.ts";
import type { ChaosWorld } from "./world.ts";

/** Longest wait for an intent or an order to strike behind; then it is done anyway. */
const triggerMs = 15_000;
/** After a broker is back, the others may take this long to count it as in sync; then the next one may go. */
const brokerRestMs = 2_000;

/** What has been done so far. */
export interface Deeds {
  /** kill -9 of services and brokers. */
  kills: number;
  freezes: number;
  replacements: number;
  /** Replacements that did not end with exit code 0, and other things that should not have happened. */
  mistakes: string[];
}

/** Arguments of {@link carryOut}. */
export interface CarryOutArguments {
  plan: Plan;
  world: ChaosWorld;
  watch: Watch;
  poisoner: Poisoner;
  deeds: Deeds;
  /** Told what is done, one short line each. */
  onDeed: (line: string) => void;
  signal: AbortSignal;
}

/**
 * Resolves when all actions are done and every process and broker runs again; rejects when the signal is aborted. Nothing
 * is killed before the last replacement is done, however long that takes.
 * @returns until when processes were only replaced in order, milliseconds since the epoch.
 */
export async function carryOut(args: CarryOutArguments): Promise<number> {
  const { actions, orderlyUntil } = args.plan;
  await carryOutFrom(
    0,
    actions.filter(({ at }) => at <= orderlyUntil),
    args,
  );
  const orderlyEnd = Date.now();
  await carryOutFrom(
    orderlyUntil,
    actions.filter(({ at }) => at > orderlyUntil),
    args,
  );
  return orderlyEnd;
}

/** Carries out actions whose times count from `start` (seconds), which is now. */
async function carryOutFrom(
  start: number,
  actions: readonly Action[],
  args: CarryOutArguments,
): Promise<void> {
  const { signal } = args;
  const began = performance.now();
  let brokerTurn: Promise<void> = Promise.resolve();
  const running = actions.map(async (action) => {
    const wait = (action.at - start) * 1_000 - (performance.now() - began);
    if (wait > 0) await delay(wait, undefined, { signal });
    signal.throwIfAborted();
    if (action.kind !== "broker") return act(action, args);
    brokerTurn = brokerTurn.then(() => killBroker(action, args));
    return brokerTurn;
  });
  await Promise.all(running);
}

async function act(action: Exclude<Action, { kind: "broker" }>, args: CarryOutArguments): Promise<void> {
  const { world, watch, deeds, onDeed, signal } = args;
  if (action.kind === "poison") {
    const { topic, partition, offset } = await args.poisoner.inject(action.poison);
    onDeed(`poison ${action.poison} is on ${topic} ${partition} at offset ${offset}`);
    return;
  }
  const process = world.process(action.process);
  if (action.kind !== "replace" && process.venue !== undefined) {
    if (action.trigger === "intent") await watch.intent(process.venue, triggerMs, signal);
    if (action.trigger === "order") await nextOrder(world, process.venue, triggerMs, signal);
    signal.throwIfAborted();
  }
  switch (action.kind) {
    case "replace": {
      deeds.replacements++;
      const code = await process.replace();
      onDeed(`${process.name} was replaced`);
      if (code !== 0)
        deeds.mistakes.push(`${process.name} ended with ${String(code)} after SIGTERM, expected 0`);
      return;
    }
    case "kill":
      deeds.kills++;
      onDeed(`kill -9 ${process.name}${action.trigger === "now" ? "" : ` behind an ${action.trigger}`}`);
      return process.kill();
    case "freeze":
      deeds.freezes++;
      onDeed(`${process.name} is frozen for ${action.seconds} s`);
      await process.freeze(action.seconds * 1_000, signal);
      onDeed(`${process.name} wakes up`);
      return;
  }
}

async function killBroker(
  { broker, seconds }: Extract<Action, { kind: "broker" }>,
  { world, deeds, onDeed, signal }: CarryOutArguments,
): Promise<void> {
  signal.throwIfAborted();
  deeds.kills++;
  onDeed(`kill -9 broker ${broker}`);
  await world.kafka.stopBroker(broker, { kill: true });
  await delay(seconds * 1_000, undefined, { signal });
  await world.kafka.startBroker(broker);
  onDeed(`broker ${broker} is back`);
  await delay(brokerRestMs, undefined, { signal });
}
