/** Entry point of the service `archiver`. */
import { archiver } from "../archive/archiver.ts";
import { runService } from "../core/service.ts";

await runService(archiver);
