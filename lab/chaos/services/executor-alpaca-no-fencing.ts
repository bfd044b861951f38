/**
 * A mutant of the service `executor-alpaca`, to show that a chaos run is able to fail: its journal is written without a
 * transactional id. So nobody fences an executor that lost its partition while it was frozen: when it wakes up, it takes
 * the commands that it had been handed, which its successor has executed already.
 */
import { startProducer } from "../../../services/bus/producer.ts";
import { runService } from "../../../services/core/service.ts";
import type { OpenLog } from "../../../services/execution/partitions.ts";
import { riskVariables } from "../../../services/execution/risk.ts";
import { startExecutor } from "../../../services/execution/service.ts";
import {
  alpacaExecutionSecrets,
  alpacaExecutionVariables,
  openAlpacaVenue,
} from "../../../services/venues/alpaca/execute.ts";

const openUnfencedLog: OpenLog = async (_partition, { kafka, context }) => {
  const producer = await startProducer(kafka, context);
  return {
    send: (records) => producer.sendAll(records),
    // Whoever is not fenced never hears of it.
    lost: new Promise(() => undefined),
    close: () => producer.close(),
    abandon: () => producer.close(),
  };
};

await runService({
  variables: { ...alpacaExecutionVariables, ...riskVariables },
  secrets: alpacaExecutionSecrets,
  start: (context, config) =>
    startExecutor(context, () => openAlpacaVenue(context, config), {
      limits: config,
      openLog: openUnfencedLog,
    }),
});
