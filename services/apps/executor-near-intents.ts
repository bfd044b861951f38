/** Entry point of the service `executor-near-intents`. */
import { runService } from "../core/service.ts";
import { startExecutor } from "../execution/service.ts";
import {
  nearExecutionSecrets,
  nearExecutionVariables,
  openNearVenue,
} from "../venues/near-intents/execute.ts";

await runService({
  variables: nearExecutionVariables,
  secrets: nearExecutionSecrets,
  start: (context, config) => startExecutor(context, () => openNearVenue(context, config)),
});
