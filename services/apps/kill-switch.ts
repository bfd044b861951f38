/** The command `kill-switch`: stops trading, or allows it again. Its usage is in services/bus/kill-switch.ts. */
import {
  parseKillSwitch,
  killSwitchUsage,
  KillSwitchUsageError,
  sendKillSwitch,
} from "../bus/kill-switch.ts";
import { ConfigError } from "../core/config.ts";

try {
  const order = parseKillSwitch(
    process.argv.slice(2),
    process.env["USER"] ?? process.env["SERVICE_NAME"] ?? "",
  );
  if (order === "help") process.stdout.write(killSwitchUsage);
  else await sendKillSwitch(order);
  process.exit(0);
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(error instanceof ConfigError || error instanceof KillSwitchUsageError ? 2 : 1);
}
