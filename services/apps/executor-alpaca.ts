/** Entry point of the service `executor-alpaca`. */
import { runService } from "../core/service.ts";
import { startExecutor } from "../execution/service.ts";
import {
  alpacaExecutionSecrets,
  alpacaExecutionVariables,
  openAlpacaVenue,
} from "../venues/alpaca/execute.ts";

await runService({
  variables: alpacaExecutionVariables,
  secrets: alpacaExecutionSecrets,
  start: (context, config) => startExecutor(context, () => openAlpacaVenue(context, config)),
});
