/** Entry point of the service `normalize-near-intents`. */
import { runService } from "../core/service.ts";
import { normalizeNearIntents } from "../venues/near-intents/normalize.ts";

await runService(normalizeNearIntents);
