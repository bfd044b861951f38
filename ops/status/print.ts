/** What `trading status` says: as JSON, and on one screen for people. */
import { table } from "../table.ts";
import type { TradingDay } from "../calendar/trading-day.ts";
import { inWords } from "../day/waiting.ts";
import type { ClusterStatus, StackStatus } from "./status.ts";

const minute = (moment: Date | string): string =>
  `${new Date(moment).toISOString().slice(0, 16).replace("T", " ")} UTC`;

/** One JSON object; null is what could not be asked or is not there. */
export function jsonOf(status: StackStatus) {
  const { stack, now, calendar, atWork, clusters, lastArchived, admissions, costToday, problems } = status;
  return {
    stack,
    now: now.toISOString(),
    isWell: problems.length === 0,
    problems,
    calendar: calendar === undefined ? null : { ...calendar, today: calendar.today ?? null },
    atWork: atWork ?? null,
    clusters:
      clusters?.map((cluster) => ({
        name: cluster.name,
        held: cluster.held,
        expiresAt: cluster.expiresAt?.toISOString() ?? null,
        openedAt: cluster.openedAt ?? null,
        ready: cluster.ready ?? null,
        sealProgress: cluster.sealProgress ?? null,
        sealedAt: cluster.sealedAt ?? null,
        youngestObjectAt: cluster.youngestObjectAt?.toISOString() ?? null,
        pricePerHour: cluster.pricePerHour,
        servers: cluster.servers.map((server) => ({
          ...server,
          createdAt: server.createdAt.toISOString(),
          pricePerHour: server.pricePerHour ?? null,
        })),
        others: cluster.resources
          .filter(({ kind }) => kind !== "servers")
          .map(({ kind, id, name }) => ({ kind, id, name })),
      })) ?? null,
    lastArchived: lastArchived ?? null,
    admissions:
      admissions?.map((admission) => ({
        ...admission,
        until: new Date(admission.until * 1_000).toISOString(),
      })) ?? null,
    costToday:
      costToday === undefined
        ? null
        : { amount: costToday.amount.toFixed(), currency: "EUR", estimates: costToday.estimates },
  };
}

/** One screen. */
export function printStatus(status: StackStatus): string {
  const { stack, now, atWork, clusters, lastArchived, admissions, costToday, problems } = status;
  const lines = [
    `Stack ${stack} at ${minute(now)}: ${problems.length === 0 ? "all is as it should be" : "NOT as it should be"}`,
    ...problems.map((problem) => `  ! ${problem.replaceAll("\n", "\n    ")}`),
    "",
    ...calendarLines(status),
    ...(atWork === null ? [] : [`at work      ${atWork ?? "not known"}`]),
  ];
  if (clusters === undefined) lines.push("servers      not known");
  else if (clusters.length === 0) lines.push("servers      none");
  for (const cluster of clusters ?? []) lines.push(...clusterLines(cluster, now));
  if ((clusters ?? []).length === 0 && lastArchived !== undefined) {
    const { name, state, sealedAt } = lastArchived;
    lines.push(`last         ${name}: ${state}${sealedAt === null ? "" : ` ${minute(sealedAt)}`}`);
  }
  lines.push(
    `admissions   ${
      admissions === undefined
        ? "not known"
        : admissions.length === 0
          ? "none beside trading:adminCidrs"
          : admissions
              .map(
                ({ name, address, until }) => `${name} (${address}) until ${minute(new Date(until * 1_000))}`,
              )
              .join(", ")
    }`,
    `cost today   ${costToday === undefined ? "not known" : `${costToday.estimates.length > 0 ? "~" : ""}${costToday.amount.toFixed(4)} EUR net`}`,
  );
  return lines.join("\n");
}

function calendarLines({ calendar, hasSchedule, now }: StackStatus): string[] {
  if (!hasSchedule) return ["calendar     the stack has no trading:schedule"];
  if (calendar === undefined) return ["calendar     not known"];
  const { today, next, source } = calendar;
  return [
    `calendar     ${today === undefined ? "closed" : phaseOf(today, now)} (by ${source})`,
    ...(today === undefined ? [] : [`this day     ${hours(today)}`]),
    `next day     ${hours(next)}, in ${inWords(next.opensAt.getTime() - now.getTime())}`,
  ];
}

const hours = ({ date, opensAt, closesAt, closesEarly }: TradingDay): string =>
  `${date}: ${minute(opensAt)} to ${minute(closesAt)}${closesEarly ? " (half day)" : ""}`;

function phaseOf({ opensAt, closesAt, deadline }: TradingDay, now: Date): string {
  if (now < opensAt) return `coming up, opens in ${inWords(opensAt.getTime() - now.getTime())}`;
  if (now < closesAt) return `open, closes in ${inWords(closesAt.getTime() - now.getTime())}`;
  return `closing, to be gone by ${minute(deadline)}`;
}

function clusterLines(cluster: ClusterStatus, now: Date): string[] {
  const { name, servers, resources, held, openedAt, ready, isSealRequested, sealProgress, sealedAt } =
    cluster;
  const rows = servers.map((server) => [
    server.name,
    server.state,
    server.details,
    inWords(now.getTime() - server.createdAt.getTime()),
    server.pricePerHour ?? "unknown",
  ]);
  const others = resources.length - servers.length;
  const readiness =
    ready === undefined
      ? "not told yet"
      : ready.ready
        ? `since ${ready.readyAt === null ? "?" : minute(ready.readyAt)}`
        : `NO: ${ready.missing.join("; ") || "nothing was said yet"}`;
  const age = (moment: Date): string => `${inWords(now.getTime() - moment.getTime())} ago`;
  return [
    `cluster      ${name}, ${cluster.pricePerHour} EUR per started hour` +
      (cluster.expiresAt === undefined ? "" : `, to be gone after ${minute(cluster.expiresAt)}`),
    ...(rows.length === 0
      ? []
      : table(["SERVER", "STATE", "TYPE", ">AGE", ">EUR/HOUR"], rows)
          .split("\n")
          .map((line) => `  ${line}`)),
    ...(others === 0 ? [] : [`  and ${others} others: firewall, network, …`]),
    `  opened     ${openedAt === undefined ? (held === "unknown" ? "not known" : "never") : minute(openedAt)}`,
    `  ready      ${readiness}`,
    `  archive    ${cluster.youngestObjectAt === undefined ? "nothing yet" : `youngest object ${age(cluster.youngestObjectAt)}`}`,
    `  seal       ${
      held === "sealed"
        ? `sealed ${sealedAt === undefined ? "" : minute(sealedAt)}`
        : sealProgress !== undefined
          ? `${sealProgress.state}: ${sealProgress.message}`
          : isSealRequested
            ? "asked for, not answered yet"
            : "not asked for"
    }`,
  ];
}
