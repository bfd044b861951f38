/** Entry point of the service `result-monitor`. */
import { runService } from "../core/service.ts";
import { resultMonitor } from "../monitor/service.ts";

await runService(resultMonitor);
