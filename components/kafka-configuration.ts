/** What the brokers are told of Kafka itself. Plain values: the lab's brokers, which are no pods, get the same. */
import { kafkaFacts, type Replication } from "./kafka-facts.ts";

/**
 * Kafka's settings by Kafka's own names (https://kafka.apache.org/documentation/#brokerconfigs). Only those that are named
 * here: Kafka starts with a setting that it does not know, and Strimzi drops those that it sets by itself, each with a line
 * in a log that nobody reads.
 */
export interface BrokerConfiguration {
  "auto.create.topics.enable": boolean;
  "default.replication.factor": number;
  "min.insync.replicas": number;
  "offsets.topic.replication.factor": number;
  "transaction.state.log.replication.factor": number;
  "transaction.state.log.min.isr": number;
  "log.retention.hours": number;
  "compression.type": "lz4";
}

/**
 * The settings of every broker.
 * @param replication of topics that say nothing else, and of Kafka's own
 */
export function brokerConfiguration(replication: Replication): BrokerConfiguration {
  const { replicationFactor, minInsyncReplicas } = replication;
  return {
    "auto.create.topics.enable": true,
    "default.replication.factor": replicationFactor,
    "min.insync.replicas": minInsyncReplicas,
    "offsets.topic.replication.factor": replicationFactor,
    "transaction.state.log.replication.factor": replicationFactor,
    "transaction.state.log.min.isr": minInsyncReplicas,
    "log.retention.hours": kafkaFacts.retentionHours,
    // Producers send lz4 already; what another client sends is stored the same way.
    "compression.type": kafkaFacts.compression,
  };
}
