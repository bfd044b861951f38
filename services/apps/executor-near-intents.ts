/** Entry point of the service `executor-near-intents`. */
import { runService } from "../core/service.ts";
import { riskVariables } from "../execution/risk.ts";
import { startExecutor } from "../execution/service.ts";
import {
  nearExecutionSecrets,
  nearExecutionVariables,
  openNearVenue,
} from "../venues/near-intents/execute.ts";

await runService({
  variables: { ...nearExecutionVariables, ...riskVariables },
  secrets: nearExecutionSecrets,
  start: (context, config) =>
    startExecutor(context, () => openNearVenue(context, config), { limits: config }),
});
