/** The service `strategy-dummy` of a chaos run, with the strategy that it plays. */
import { runService } from "../../../services/core/service.ts";
import { startStrategy } from "../../../services/strategies/service.ts";
import { longLivedDummy } from "../long-lived-dummy.ts";

await runService({ variables: {}, start: (context) => startStrategy(context, longLivedDummy) });
