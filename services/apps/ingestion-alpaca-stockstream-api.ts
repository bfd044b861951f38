/** Entry point of the service `ingestion-alpaca-stockstream-api`. */
import { runService } from "../core/service.ts";
import { ingestAlpacaStocks } from "../venues/alpaca/ingest.ts";

await runService(ingestAlpacaStocks);
