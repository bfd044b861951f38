/** Entry point of the service `executor-near-intents`. */
import { runService } from "../core/service.ts";
import { riskVariables } from "../execution/risk.ts";
import { closingVariables, startExecutor } from "../execution/service.ts";
import {
  nearExecutionSecrets,
  nearExecutionVariables,
  openNearVenue,
} from "../venues/near-intents/execute.ts";

await runService({
  variables: { ...nearExecutionVariables, ...riskVariables, ...closingVariables },
  secrets: nearExecutionSecrets,
  start: (context, config) =>
    startExecutor(context, () => openNearVenue(context, config), {
      limits: config,
      openOrdersAtClose: config.OPEN_ORDERS_AT_CLOSE,
    }),
});
