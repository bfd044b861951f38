/**
 * The dummy strategy: answers a fixed share of the swap demands, picked by a hash of their content, at a made-up
 * price (one base unit for one base unit, less a spread). It exercises the pipeline; it is no way to make money.
 */
import { createHash } from "node:crypto";
import { integer } from "../core/config.ts";
import { ceil, floor, multiply } from "../core/decimal.ts";
import type { Event } from "../core/envelope.ts";
import type { SwapDemand } from "../core/market-data.ts";
import type { ServiceDefinition } from "../core/service.ts";
import { fromInstant, toInstant } from "../core/time.ts";
import { startStrategy, type Decision, type Strategy } from "./reactor.ts";

/** Options of the dummy. */
export interface DummyOptions {
  /** Percentage of demands that are answered, 0 to 100. */
  percent: number;
}

/** We give this much of what we receive; what we ask for is its inverse. */
const given = "0.997";
const asked = "1.003009027081244";

/**
 * A relay wants an answer to be valid for at least `min_deadline_ms` from when it takes it in; the answer
 * window is 300 ms plus about 300 ms grace, the rest is for clocks that differ.
 */
const answerWindowMs = 2_000;

/** A number from 0 to 99 that follows from the demand's content alone. */
export function lot(demand: SwapDemand): number {
  const content = [
    demand.quote_id,
    demand.asset_in,
    demand.asset_out,
    demand.exact_amount_in ?? "",
    demand.exact_amount_out ?? "",
  ];
  return createHash("sha256").update(JSON.stringify(content)).digest().readUInt32BE(0) % 100;
}

/** Makes the dummy. Its state is the number of answers per pair. */
export function dummyStrategy(options: DummyOptions): Strategy<number> {
  return {
    name: "dummy",
    keyOf: ({ payload }) => `${payload.asset_in}|${payload.asset_out}`,
    initial: 0,
    react: (answered, event) => {
      const decision = lot(event.payload) < options.percent ? answer(event) : undefined;
      return decision === undefined
        ? { state: answered, decisions: [] }
        : { state: answered + 1, decisions: [decision] };
    },
  };
}

function answer(event: Event<SwapDemand>): Decision | undefined {
  const { payload, venue, ingested_at } = event;
  const { quote_id, asset_in, asset_out, exact_amount_in, exact_amount_out } = payload;
  const [amount_in, amount_out, exact] =
    exact_amount_in === undefined
      ? [ceil(multiply(exact_amount_out ?? "0", asked)), exact_amount_out ?? "0", "out" as const]
      : [exact_amount_in, floor(multiply(exact_amount_in, given)), "in" as const];
  // Nothing to give or to receive: no trade.
  if (amount_in === "0" || amount_out === "0" || amount_in.length > 78) return undefined;
  return {
    idempotency_key: `dummy:${quote_id}`.slice(0, 200),
    venue,
    deadline: toInstant(fromInstant(ingested_at) + payload.min_deadline_ms + answerWindowMs),
    limits: { max_amount_out: amount_out },
    instruction: { kind: "answer_swap", quote_id, asset_in, asset_out, amount_in, amount_out, exact },
  };
}

const variables = {
  /** Percentage of demands that the dummy answers. */
  DUMMY_PERCENT: integer(0, 100).default(10),
};

/** The service `strategy-dummy`. */
export const strategyDummy: ServiceDefinition<typeof variables> = {
  variables,
  start: (context, config) => startStrategy(context, dummyStrategy({ percent: config.DUMMY_PERCENT })),
};
