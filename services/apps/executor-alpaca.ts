/** Entry point of the service `executor-alpaca`. */
import { runService } from "../core/service.ts";
import { riskVariables } from "../execution/risk.ts";
import { closingVariables, startExecutor } from "../execution/service.ts";
import {
  alpacaExecutionSecrets,
  alpacaExecutionVariables,
  openAlpacaVenue,
} from "../venues/alpaca/execute.ts";

await runService({
  variables: { ...alpacaExecutionVariables, ...riskVariables, ...closingVariables },
  secrets: alpacaExecutionSecrets,
  start: (context, config) =>
    startExecutor(context, () => openAlpacaVenue(context, config), {
      limits: config,
      openOrdersAtClose: config.OPEN_ORDERS_AT_CLOSE,
    }),
});
