/** Entry point of the service `ingest-near-intents`. */
import { runService } from "../core/service.ts";
import { ingestNearIntents } from "../venues/near-intents/ingest.ts";

await runService(ingestNearIntents);
