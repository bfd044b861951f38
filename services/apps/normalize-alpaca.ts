/** Entry point of the service `normalize-alpaca`. */
import { runService } from "../core/service.ts";
import { normalizeAlpaca } from "../venues/alpaca/normalize.ts";

await runService(normalizeAlpaca);
