/** The seal's side of the drain: asks on the control topic, and follows who has answered. */
import { type ControlMessage, controlRecord, followControl } from "../bus/control.ts";
import { DrainState } from "../bus/drain.ts";
import type { Kafka } from "../bus/kafka.ts";
import { startProducer } from "../bus/producer.ts";
import type { ServiceContext } from "../core/service.ts";
import { toInstant } from "../core/time.ts";

/** The drain, as the seal needs it. */
export interface DrainRequester {
  /** All that have to answer. */
  readonly services: readonly string[];
  /** Asks all services to drain, unless they were asked with this id before. */
  request(requestId: string): Promise<void>;
  /** The services that have not answered. */
  unanswered(requestId: string): string[];
}

/**
 * Reads the control topic to its end and follows it until the service stops.
 * @param services whose `drained` counts.
 * @param onMessage called for every control message, from the oldest on, in order.
 * @throws KafkaJSError when the control topic does not exist or no broker answers.
 */
export async function followDrain(
  context: ServiceContext,
  kafka: Kafka,
  services: readonly string[],
  onMessage: (message: ControlMessage) => void,
): Promise<DrainRequester> {
  const name = context.settings.SERVICE_NAME;
  const state = new DrainState();
  const follower = await followControl({
    kafka,
    context,
    onMessage: (message) => {
      state.apply(message);
      onMessage(message);
    },
  });
  context.onStop("control", () => follower.stop());
  const producer = await startProducer(kafka, context);
  return {
    services,
    unanswered: (requestId) => state.unanswered(requestId, services),
    request: async (requestId) => {
      if (state.requests.includes(requestId)) return;
      await producer.send(controlRecord({ type: "drain", requestId, at: toInstant(Date.now()) }, name));
      context.logger.info({ requestId, services }, "drain requested");
    },
  };
}
