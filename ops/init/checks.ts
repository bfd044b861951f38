/** The checks of all groups. */
import type { CheckContext } from "./check.ts";
import { checkAccess } from "./check-access.ts";
import { checkAlpaca } from "./check-alpaca.ts";
import { checkBucket } from "./check-bucket.ts";
import { checkDelivery } from "./check-delivery.ts";
import { checkHetzner } from "./check-hetzner.ts";
import { checkNear } from "./check-near.ts";
import { checkSchedule } from "./check-schedule.ts";
import { isWithin } from "./draft.ts";
import { type Finding, type Group, groups } from "./finding.ts";
import { fullKey, type Question, questions } from "./questions.ts";

const checks: Readonly<Record<Group, (context: CheckContext) => Promise<Finding[]>>> = {
  hetzner: checkHetzner,
  access: checkAccess,
  archive: checkBucket,
  delivery: checkDelivery,
  alpaca: checkAlpaca,
  near: checkNear,
  schedule: checkSchedule,
};

/** The questions of a group that the other values make needed. */
export function questionsOf(group: Group, { draft }: Pick<CheckContext, "draft">): Question[] {
  return questions.filter((question) => question.group === group && (question.applies?.(draft) ?? true));
}

/** Checks one group, whose values must all be there. @throws the signal's reason */
export function checkGroup(group: Group, context: CheckContext): Promise<Finding[]> {
  return checks[group](context);
}

/** Checks every group whose values are all there, at the same time. @returns in the order of the groups */
export async function checkAll(context: CheckContext): Promise<Finding[]> {
  const mistakes = context.draft.mistakes();
  const complete = groups.filter((group) =>
    questionsOf(group, context).every((question) => {
      const { state } = context.draft.answered(question, mistakes);
      return state === "set" || (state === "missing" && question.optional === true);
    }),
  );
  return (await Promise.all(complete.map((group) => checkGroup(group, context)))).flat();
}

/** What keeps a configuration from being whole. */
export interface Gap {
  /** `trading:archive.endpoint`, or the variable for what is no part of the configuration. */
  key: string;
  /** Environment variable that can fill it, where there is one. */
  variable?: string;
  /** What is expected. */
  expected: string;
  /** False: something stands there, and it does not do. */
  missing: boolean;
}

/** Every gap, in the order of the questions; then the mistakes in what nobody is asked for. */
export function gapsOf({ draft }: Pick<CheckContext, "draft">): Gap[] {
  const mistakes = draft.mistakes();
  const needed = questions.filter(({ applies }) => applies?.(draft) ?? true);
  const asked = needed.flatMap((question): Gap[] => {
    const answered = draft.answered(question, mistakes);
    if (answered.state === "set" || (answered.state === "missing" && question.optional === true)) return [];
    const { variable, label } = question;
    const missing = answered.state === "missing";
    return [{ key: fullKey(question), variable, expected: missing ? label : answered.allowed, missing }];
  });
  const others = mistakes.filter(
    ({ key }) =>
      !questions.some((question) => isWithin(key, fullKey(question)) || isWithin(fullKey(question), key)),
  );
  return [
    ...asked,
    ...others.map(({ key, found, allowed, action }) => ({
      key,
      expected: `${allowed} (found ${found}; ${action})`,
      missing: false,
    })),
  ];
}

/** A gap in one line. */
export function printGap({ key, variable, expected, missing }: Gap): string {
  const named = variable === undefined ? key : `${key} (${variable})`;
  return missing ? `  ${named}: missing: ${expected}` : `  ${named}: expected ${expected}`;
}
