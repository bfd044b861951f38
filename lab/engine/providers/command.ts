/** The `command` package: local and remote commands. */
import { z } from "zod";
import type { ProviderPackage, ResourceDefinition } from "../provider.ts";
import { localCommand } from "./local-command.ts";
import { remoteCommand } from "./remote-command.ts";

const resources: Record<string, ResourceDefinition> = {
  "command:local:Command": localCommand,
  "command:remote:Command": remoteCommand,
};

export const command: ProviderPackage = {
  name: "command",
  configuration: z.strictObject({}),
  configure: () => ({ resource: (type) => resources[type], known: Object.keys(resources) }),
};
