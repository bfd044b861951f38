/** `trading plan`: which servers a stack would get now, where, and what they cost. */
import type { Command } from "commander";
import { describeObstacle } from "../../components/capacity.ts";
import { exitCodes } from "../exit-codes.ts";
import { describeHetzner, openHetzner, readStack, stackOption } from "../hetzner/settings.ts";
import { runs } from "../run.ts";
import { table } from "../table.ts";
import { type CapacityPlan, planCapacity } from "./plan.ts";

/** Adds the command. */
export function registerPlan(program: Command): void {
  const plan = program
    .command("plan")
    .description(
      "Which locations and server types the stack could have now, in the order of its configuration, with net prices per started " +
        "hour and for the day's open hours (all servers and their public IPv4 addresses); and what is not possible, and why.",
    )
    .addOption(stackOption())
    .option("--json", "one JSON object instead of a report")
    .action(
      runs(async (run, { stack, json }: { stack: string; json?: boolean }) => {
        const values = readStack(stack);
        const client = openHetzner(values, { signal: run.signal, report: run.progress });
        const found = await planCapacity(client, stack, values);
        run.print(json ? JSON.stringify(found) : print(found));
        return found.choices.length > 0 ? exitCodes.ok : exitCodes.failed;
      }),
    );
  describeHetzner(plan).addHelpText(
    "after",
    "\nThe first choice is what pulumi up and trading open take. The API's word on stock is a hint: a creation can still be\n" +
      "refused (resource_unavailable); then trading open takes the next one. trading:excludedCapacity in the stack's\n" +
      "configuration passes choices over. Exit code 1 when nothing is possible.",
  );
}

function print(plan: CapacityPlan): string {
  const { stack, profile, servers, openHours, currency, settled, choices, obstacles } = plan;
  const counted = profile === "cluster" ? `${servers.brokers} brokers and the control plane` : "one server";
  const settledLine =
    settled === undefined
      ? []
      : [`Servers of this stack are there already: what is missing can be in ${settled} only.`];
  const rows = choices.map(({ rank, name, networkZone, pricePerHour, priceOpenHours }) => [
    String(rank),
    name,
    networkZone,
    pricePerHour ?? "unknown",
    priceOpenHours ?? "unknown",
  ]);
  const heads = [">", "CHOICE", "ZONE", `>${currency}/HOUR`, `>${currency}/${openHours} HOURS`];
  return [
    `Stack ${stack} (${profile}): ${counted}. Prices are net, per started hour, for all servers with their IPv4 addresses.`,
    ...settledLine,
    "",
    choices.length === 0 ? "Nothing is possible now." : table(heads, rows),
    ...(obstacles.length === 0 ? [] : ["", "Not possible:"]),
    ...obstacles.map((obstacle) => `  ${describeObstacle(obstacle)}`),
  ].join("\n");
}
