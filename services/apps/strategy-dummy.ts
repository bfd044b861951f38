/** Entry point of the service `strategy-dummy`. */
import { runService } from "../core/service.ts";
import { strategyDummy } from "../strategies/dummy.ts";

await runService(strategyDummy);
