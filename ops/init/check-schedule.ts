/** Says what the schedule means. */
import { valuesSchema } from "../../stacks/config-schema.ts";
import type { CheckContext } from "./check.ts";
import { type Finding, findingsOf } from "./finding.ts";

const finding = findingsOf("schedule");

/** See the module's description. */
export async function checkSchedule({ draft }: CheckContext): Promise<Finding[]> {
  const hours = valuesSchema.shape.openHours.parse(draft.get(["openHours"]));
  const { data: schedule } = valuesSchema.shape.schedule.safeParse(draft.get(["schedule"]));
  if (schedule === undefined)
    return [
      finding(
        "note",
        `No schedule: nothing opens or closes the stack by itself. A cluster counts as left over after ${hours} h.`,
      ),
    ];
  const { open, timeZone, mostDaysPerMonth } = schedule;
  const days =
    mostDaysPerMonth === undefined
      ? "every trading day"
      : `the first ${mostDaysPerMonth} trading days of a month`;
  return [
    finding(
      "ok",
      `Open on ${days} from ${open} (${timeZone}) for ${hours} h: \`trading calendar --stack ${draft.stack}\` shows the days.`,
    ),
  ];
}
