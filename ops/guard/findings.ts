/** What is wrong in what the guard sees. Pure. */
import { describeResource } from "../cluster/labelled.ts";
import { isControlPlane } from "../cluster/removal.ts";
import { endedAfter } from "../day/day-clusters.ts";
import { judgePositions } from "../day/positions.ts";
import { inWords } from "../day/waiting.ts";
import { closingTimeOf } from "../leaks/cluster-there.ts";
import type { NoticeKind } from "../notify/notifier.ts";
import { type Activities, silenceOf } from "./activity.ts";
import type { SeenCluster, Sight } from "./sight.ts";

/** Something that people are told of. */
export interface Finding {
  kind: NoticeKind;
  /** The same for the same thing at every look. */
  key: string;
  /** `<stack>/<business-date>/<cluster-id>`; null where it is about none. */
  cluster: string | null;
  /** For people: what is, and what to run. */
  text: string;
  /** EUR net per started hour; null where nothing bills or it is not known. */
  pricePerHour: string | null;
  /** Told only once: nothing can be done about it any more. Default: false. */
  isPast?: boolean;
}

const minute = (moment: Date): string => `${moment.toISOString().slice(0, 16).replace("T", " ")} UTC`;
const run = (command: string, stack: string): string =>
  `npm run --silent trading -- ${command} --stack ${stack}`;

/**
 * Judges what is there.
 * @param deadlineMs how long after its closing time a cluster may take to be sealed and gone
 * @param activities empty where the bucket's times are not those of `sight.now`: then a seal that was asked for is one that goes
 *   on, and no archiver is silent
 */
export function findingsOf(sight: Sight, deadlineMs: number, activities: Activities = new Map()): Finding[] {
  return [
    ...blindnessOf(sight),
    ...notOpenedOf(sight, activities),
    ...overdueOf(sight, deadlineMs).flatMap((cluster) => overdueFinding(sight, cluster, deadlineMs)),
    ...lostOf(sight),
  ];
}

/** The clusters that should be gone: their closing time and the time to close them are over. */
export function overdueOf(sight: Sight, deadlineMs: number): SeenCluster[] {
  const { clusters = [], now } = sight;
  return clusters.filter((cluster) => closingTimeIn(sight, cluster).getTime() + deadlineMs < now.getTime());
}

/** What was opened by hand before its day, with an earlier end, is the day's cluster all the same. */
function closingTimeIn({ day }: Sight, cluster: SeenCluster): Date {
  const own = closingTimeOf(cluster);
  const isOfDay = day !== undefined && cluster.cluster?.businessDate === day.date;
  return isOfDay && day.closesAt > own ? day.closesAt : own;
}

function blindnessOf({ blind }: Sight): Finding[] {
  const what = { calendar: "the calendar", hetzner: "Hetzner", bucket: "the archive bucket" };
  return blind.map(({ what: which, message }) => ({
    kind: "failed",
    key: `failed:${which}`,
    cluster: null,
    text: `The guard could not ask ${what[which]}, so it does not see everything: ${message}`,
    pricePerHour: null,
  }));
}

/** A seal takes GATE_TIMEOUT_SECONDS (900) at most, and the removal after it some minutes: what was asked for before has failed. */
const longestCloseMs = 30 * 60_000;

/** It should be open now, and is not, or does not trade. */
function notOpenedOf(sight: Sight, activities: Activities): Finding[] {
  const { stack, now, day, clusters, archived } = sight;
  if (day === undefined || clusters === undefined || now < day.opensAt || now >= day.closesAt) return [];
  const finding = (text: string, cluster?: SeenCluster): Finding => ({
    kind: "not-opened",
    key: `not-opened:${day.date}`,
    cluster: cluster?.name ?? null,
    text: `It should be open since ${minute(day.opensAt)}, until ${minute(day.closesAt)} (trading day ${day.date}). ${text}`,
    pricePerHour: cluster?.pricePerHour ?? null,
  });
  const open = clusters.find(
    (cluster) => closingTimeIn(sight, cluster) > now && cluster.resources.some(isControlPlane),
  );
  if (open === undefined) {
    // Somebody has closed the day early: that was told when it was done.
    if (endedAfter(archived ?? [], day.date, day.opensAt) !== undefined) return [];
    return [finding(`No cluster is there. To open it: ${run("open", stack)}`)];
  }
  const off = open.resources.filter(({ isOff }) => isOff);
  if (off.length > 0) return [finding(`Without power: ${off.map(describeResource).join(", ")}.`, open)];
  if (open.held === "never") {
    const age = inWords(now.getTime() - open.createdAt.getTime());
    return [
      finding(
        `Its servers are there for ${age}, and its Kafka was never ready. To go on with it: ${run("open", stack)}`,
        open,
      ),
    ];
  }
  const why = whyNotTrading(sight, open, activities);
  return why === undefined ? [] : [finding(why, open)];
}

/** Of a cluster that was opened and has its time. @returns undefined when it trades, or somebody is closing it */
function whyNotTrading(
  { stack, now, archived }: Sight,
  { name, held, ready, ...open }: SeenCluster,
  activities: Activities,
): string | undefined {
  const activity = activities.get(name);
  const askedAt = activity?.sealRequestedAt;
  const isRecent = askedAt === undefined || now.getTime() - askedAt.getTime() <= longestCloseMs;
  if (held === "unknown" || (open.isSealRequested && isRecent)) return undefined;
  const close = `To remove it: ${run("close", stack)}`;
  if (held === "sealed") return `Its archive is sealed, so it trades no more, and it still stands. ${close}`;
  if (open.isSealRequested && askedAt !== undefined) {
    const age = inWords(now.getTime() - askedAt.getTime());
    return `Its seal was asked for ${age} ago and has not come about, so it is drained and does not trade. ${close}`;
  }
  if (ready === undefined)
    return "It is opened, but its archiver has not said that it can trade: its pod may not run.";
  if (!ready.ready) {
    const missing =
      ready.missing.length === 0
        ? "its monitor has said nothing yet"
        : `missing: ${ready.missing.join("; ")}`;
    const since =
      ready.readyAt === null ? "was never ready to trade" : `was ready to trade at ${ready.readyAt}`;
    return `It is opened, ${since}, and is not now; ${missing}.`;
  }
  const { problems } = judgePositions(ready);
  if (problems.length > 0) return `It is opened, and ${problems.join("; ")}.`;
  const entry = archived?.find(({ identity }) => identity.clusterId === open.cluster?.clusterId);
  return activity && silenceOf({ ...open, name, held }, entry?.opened?.openedAt, activity, now);
}

function overdueFinding(sight: Sight, cluster: SeenCluster, deadlineMs: number): Finding {
  const { stack, now } = sight;
  const { name, held, resources, pricePerHour, costSoFar, expiresAt } = cluster;
  const closing = closingTimeIn(sight, cluster);
  const late = inWords(now.getTime() - closing.getTime() - deadlineMs);
  const until =
    expiresAt === undefined
      ? "It never got an expires-at and is more than a day old."
      : `It was to be closed at ${minute(closing)} and gone ${inWords(deadlineMs)} later, which is ${late} ago.`;
  const close = run("close", stack);
  const there = `There: ${resources.map(describeResource).join(", ")}; it has cost ${costSoFar} EUR so far.`;
  const finding = (kind: NoticeKind, text: string): Finding => ({
    kind,
    key: `${kind}:${name}`,
    cluster: name,
    text: `${until} ${text}\n${there}`,
    pricePerHour,
  });
  if (cluster.cluster === undefined)
    return finding(
      "leaked",
      "Its labels do not say which cluster it is of: look at it in the Hetzner console.",
    );
  const holdsData = resources.some((resource) => resource.holdsData);
  if (held === "opened" && holdsData)
    return finding(
      "unsealed",
      `Its archive is not sealed, so it may hold data that is nowhere else, and stays. To seal and remove it: ${close}\n` +
        `To lose what is not archived, the same with TRADING_ALLOW_DATA_LOSS=${stack}/${cluster.cluster.clusterId}`,
    );
  if (held === "unknown")
    return finding("still-open", `Whether it is sealed is not known. To seal and remove it: ${close}`);
  if (held === "sealed" && resources.some(isControlPlane))
    return finding("still-open", `Its archive is sealed. To remove it: ${close}`);
  const why = {
    never: "It never held data.",
    sealed: "Its archive is sealed.",
    opened: "Its servers are gone.",
  };
  return finding(
    "leaked",
    `${why[held]} To remove what is left of it: ${close}, or ${run("leaks", stack)} --destroy`,
  );
}

/** Opened, gone and not sealed: somebody removed it with other hands than ours. */
function lostOf({ stack, clusters, archived = [] }: Sight): Finding[] {
  if (clusters === undefined) return [];
  return archived.flatMap(({ identity, state, opened, override, pruned }) => {
    const { businessDate, clusterId } = identity;
    const isThere = clusters.some(
      ({ cluster, resources }) =>
        cluster?.clusterId === clusterId && resources.some(({ holdsData }) => holdsData),
    );
    const isWhole = state === "sealed" || pruned !== undefined || override !== undefined;
    if (opened === undefined || isWhole || isThere) return [];
    const name = `${stack}/${businessDate}/${clusterId}`;
    return {
      kind: "unsealed",
      key: `lost:${name}`,
      cluster: name,
      text:
        "Its servers are gone and its archive is not sealed: what had not been archived is lost. Who removed them is in the " +
        "Hetzner console; what the bucket holds: npm run --silent trading -- archive show " +
        name,
      pricePerHour: null,
      isPast: true,
    };
  });
}
