/** How fast a stage of the pipeline is, as services run it: at least once. */
import { setTimeout as delay } from "node:timers/promises";
import { startStage } from "../../services/bus/stage.ts";
import { encodeEvent } from "../../services/core/envelope.ts";
import type { ServiceContext } from "../../services/core/service.ts";
import { eventType, symbolOf } from "../events.ts";
import type { StageOptions, Throughput } from "../worker-options.ts";
import { startStopwatch } from "./stopwatch.ts";

/** Reads, validates, encodes and writes `count` events; over when the last one is acknowledged. */
export async function measureStage(context: ServiceContext, options: StageOptions): Promise<Throughput> {
  const { count, output } = options;
  let finish: ((records: number) => Throughput) | undefined;
  let transformed = 0;
  await startStage({
    context,
    topic: options.topic,
    type: eventType,
    transform: (event) => {
      finish ??= startStopwatch();
      transformed += 1;
      return [
        {
          topic: output,
          key: symbolOf(event.payload.sequence),
          value: encodeEvent({ ...event, venue: "measured" }),
        },
      ];
    },
  });
  const acknowledged = async (): Promise<number> => {
    const { values } = await context.metrics.eventsOut.get();
    return values.find(({ labels }) => labels.topic === output)?.value ?? 0;
  };
  while (transformed < count || (await acknowledged()) < count) await delay(5);
  return (finish as unknown as (records: number) => Throughput)(await acknowledged());
}
