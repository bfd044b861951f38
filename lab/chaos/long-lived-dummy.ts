/**
 * The strategy of a chaos run: the dummy, but its stock orders live for 25 s instead of 5. So they outlive a dead member
 * of the executors' group (10 s), and a frozen executor that wakes up could still send them: a harder test.
 */
import { fromInstant, toInstant } from "../../services/core/time.ts";
import { type DummyState, dummyStrategy } from "../../services/strategies/dummy.ts";
import type { Strategy } from "../../services/strategies/strategy.ts";

/** How long a stock order is worth placing after its trade was received, in milliseconds. */
const orderLifeMs = 25_000;

const dummy = dummyStrategy({ percent: 100, moveBasisPoints: 1 });

/** See the module's description. */
export const longLivedDummy: Strategy<"norm.swap_demand" | "norm.stock_trade", DummyState> = {
  ...dummy,
  react: (state, event) => {
    const reaction = dummy.react(state, event);
    if (event.event_type !== "norm.stock_trade") return reaction;
    const deadline = toInstant(fromInstant(event.ingested_at) + orderLifeMs);
    return { ...reaction, decisions: reaction.decisions.map((decision) => ({ ...decision, deadline })) };
  },
};
