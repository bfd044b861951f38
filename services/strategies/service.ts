/** Runs a strategy as a service: one consumer group, states rebuilt from the topics, its part in the drain. */
import { startConsumer } from "../bus/consumer.ts";
import { readPartition } from "../bus/partition-log.ts";
import { connectBus, startConsumerDrain } from "../bus/stage.ts";
import type { ServiceContext } from "../core/service.ts";
import { StrategyError } from "./commands.ts";
import { StrategyPartitions } from "./partitions.ts";
import { topicsOf } from "./reactor.ts";
import type { InputType, Strategy } from "./strategy.ts";

/**
 * Starts a strategy. SERVICE_NAME has to be `strategy-<name>`: it is the consumer group, and by it the monitor knows
 * whose answers to canaries to expect.
 * @throws StrategyError when the name is not that; KafkaJSError when no broker answers.
 */
export async function startStrategy<Input extends InputType, State>(
  context: ServiceContext,
  strategy: Strategy<Input, State>,
): Promise<void> {
  const { settings, logger } = context;
  const groupId = settings.SERVICE_NAME;
  if (!/^[a-z0-9-]+$/.test(strategy.name) || groupId !== `strategy-${strategy.name}`) {
    throw new StrategyError(
      strategy.name,
      `SERVICE_NAME is ${groupId}, expected strategy-<name>, where the strategy's name is lower case letters, ` +
        "digits and hyphens. Correct the name in the catalog or in the strategy.",
    );
  }
  const bus = await connectBus(context);
  const partitions = new StrategyPartitions({
    strategy,
    producer: bus.producer,
    context,
    read: ({ topic, partition }, to, onRecord, signal) =>
      readPartition({ kafka: bus.kafka, topic, partition, to, onRecord, signal, logger }),
  });
  const topics = topicsOf(strategy.inputs).map(({ name }) => name);
  await startConsumer({
    kafka: bus.kafka,
    groupId,
    topics,
    context,
    assigned: (partition, progress) => partitions.assigned(partition, progress),
    revoked: (partition) => partitions.revoked(partition),
    handle: (records) => partitions.handle(records),
  });
  await startConsumerDrain(bus, context, groupId, topics);
}
