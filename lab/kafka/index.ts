/** The lab's Kafka. */
export { KafkaInstallError, KafkaPortInUseError, KafkaStartError } from "./errors.ts";
export { installKafka, installKafkaTools, kafkaVersion } from "./install.ts";
export { type KafkaArguments, type LabKafka, startKafka } from "./start.ts";
