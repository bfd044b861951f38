/** Runs the executor of a venue as a service: recover, then consume, then drain or stop in order. */
import { startConsumer } from "../bus/consumer.ts";
import { readToEnd } from "../bus/follow.ts";
import { connectBus, startConsumerDrain } from "../bus/stage.ts";
import { topics } from "../bus/topics.ts";
import type { ServiceContext } from "../core/service.ts";
import { Executor } from "./executor.ts";
import { Recovery } from "./journal.ts";
import type { ExecutionVenue } from "../core/execution-venue.ts";

/**
 * Starts the executor of one venue. On drain it consumes all commands and waits until each has its result.
 * @param open makes the venue's side; called after Kafka answers.
 * @throws KafkaJSError when no broker answers; Error when the journal cannot be understood.
 */
export async function startExecutor(context: ServiceContext, open: () => ExecutionVenue): Promise<void> {
  const groupId = context.settings.SERVICE_NAME;
  const bus = await connectBus(context);
  const venue = open();
  const recovery = new Recovery(venue.name);
  await readToEnd({
    kafka: bus.kafka,
    topics: [topics.journal.name, topics.tradeResult.name],
    name: `recovery-${groupId}`,
    context,
    onRecord: (record) => recovery.take(record),
  });
  const recovered = recovery.finish();
  const executor = new Executor({ venue, producer: bus.producer, context, recovered });
  context.onStop("executor", () => executor.stop());
  await executor.resume(recovered);
  await startConsumer({
    kafka: bus.kafka,
    groupId,
    topics: [topics.executeTrade.name],
    context,
    handle: (records) => executor.handle(records),
  });
  await startConsumerDrain(bus, context, groupId, [topics.executeTrade.name], () => executor.settled());
}
