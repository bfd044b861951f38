/** What a stack costs: today, this month, forecast, against always-on. Reads only; works without any state. */
import { Decimal } from "decimal.js";
import { serversOf } from "../../components/capacity.ts";
import { ArchiveStoreError, type ArchiveStore } from "../../services/archive/store.ts";
import type { StackValues } from "../../stacks/config-schema.ts";
import type { TradingDay } from "../calendar/trading-day.ts";
import type { HetznerClient } from "../hetzner/client.ts";
import { stackSelector } from "../hetzner/settings.ts";
import { type CapacityPlan, planCapacity } from "../plan/plan.ts";
import { calendarDay, calendarMonth, type Period, startedHoursWithin } from "./billing.ts";
import { type CostDocument, readCostDocuments } from "./cost-document.ts";
import { costOf, type Forecast, forecastMonth, hourlyOf, type PlannedDay, plannedDay } from "./forecast.ts";
import { type LivePrices, readPrices } from "./prices.ts";
import {
  documentedUses,
  isEndUncertain,
  estimatedUses,
  readClusters,
  runningUses,
  type ServerUse,
  type UsualServers,
} from "./uses.ts";

/** Arguments of {@link readCost}. */
export interface CostArguments {
  stack: string;
  values: StackValues;
  client: HetznerClient;
  store: ArchiveStore;
  /** Trading days of the month; undefined when they are not known: then there is no forecast. */
  tradingDays: readonly TradingDay[] | undefined;
  /** `2026-11` */
  month: string;
  now: Date;
}

/** What one cluster has cost in the month. */
export interface ClusterCost {
  /** `<business-date>/<cluster-id>` */
  cluster: string;
  servers: number;
  /** Started hours of all its servers within the month. */
  startedHours: number;
  /** EUR. */
  amount: Decimal;
  isRunning: boolean;
  /** Why it is an estimate, one sentence each; empty when it is exact. */
  estimates: string[];
}

/** What {@link readCost} found; amounts are EUR net. */
export interface StackCost {
  stack: string;
  month: string;
  currency: string;
  /** By the hours that began on this calendar day (UTC); undefined when it is not in the month. */
  today: Decimal | undefined;
  /** The month's hours until now. */
  soFar: Decimal;
  clusters: ClusterCost[];
  /** Per started hour of what is there now. */
  runningPerHour: Decimal;
  /** Servers as the stack would get them now. */
  usual: UsualServers;
  /** Name of that choice of capacity; undefined when nothing is possible now. */
  choice: string | undefined;
  /** Per started hour of those with their addresses; undefined without a price. */
  perHour: Decimal | undefined;
  /** Trading days of the month as planned; undefined without a schedule. */
  days: PlannedDay[] | undefined;
  forecast: Forecast | undefined;
  /** The month if every one of those days goes as planned, from the first to the last. */
  planned: Decimal | undefined;
  /** Those servers for the whole month, up to the cap. */
  alwaysOn: Decimal | undefined;
  /** What could not be had, one sentence each: then amounts are too low. */
  problems: string[];
}

/** Servers can be left over from earlier months. */
const lookBackDays = 62;
const dayMs = 86_400_000;
const dateOf = (moment: Date): string => moment.toISOString().slice(0, 10);

/**
 * Looks at the project and the bucket.
 * @throws HetznerApiError: without prices nothing can be said. A bucket that cannot be used is a problem in the report.
 */
export async function readCost(args: CostArguments): Promise<StackCost> {
  const { stack, values, client, now, tradingDays } = args;
  const month = calendarMonth(args.month);
  const [prices, servers, plan] = await Promise.all([
    readPrices(client),
    client.list("servers", { labelSelector: stackSelector(stack) }),
    planCapacity(client, stack, values),
  ]);
  const usual = usualServers(plan, prices);
  const problems: string[] = [];
  const present = runningUses(servers, prices, now);
  const past = await pastUses(args, {
    month,
    present: new Set(servers.map(({ id }) => id)),
    presentClusters: new Set(present.map(({ cluster }) => cluster)),
    usual,
    problems,
  });
  const uses = [...present, ...past].filter((use) => startedHoursWithin(use, month) > 0);
  const days = tradingDays
    ?.map((day) => plannedDay(day))
    .filter(({ from }) => from >= month.from && from < month.to);
  const hourly = usual.length === 0 ? undefined : hourlyOf(usual);
  const today = calendarDay(now);
  const running = uses.filter(({ isRunning }) => isRunning);
  return {
    stack,
    month: args.month,
    currency: prices.currency,
    today: today.from >= month.from && today.from < month.to ? costOf(uses, today) : undefined,
    soFar: costOf(uses, month),
    clusters: byCluster(uses, month),
    runningPerHour: running.reduce(
      (sum, { rate, ipv4 }) => sum.plus(rate?.hourly ?? 0).plus(ipv4?.hourly ?? 0),
      new Decimal(0),
    ),
    usual,
    choice: plan.choices[0]?.name,
    perHour: hourly?.servers.plus(hourly.ipv4),
    days,
    forecast:
      days === undefined || hourly === undefined
        ? undefined
        : forecastMonth({ month, uses, days, usual, now }),
    planned:
      days === undefined || hourly === undefined
        ? undefined
        : hourly.servers.plus(hourly.ipv4).times(days.reduce((hours, day) => hours + day.hours, 0)),
    alwaysOn:
      hourly === undefined
        ? undefined
        : costOf(
            usual.map((server) => ({ ...server, ...month })),
            month,
          ),
    problems,
  };
}

/** The servers of a plan's first choice, with their prices; none when nothing is possible. */
function usualServers(plan: CapacityPlan, prices: LivePrices): UsualServers {
  const [choice] = plan.choices;
  if (choice === undefined) return [];
  const { location, brokerServerType, controlPlaneServerType } = choice;
  const { brokers, controlPlanes } = serversOf[plan.profile];
  const server = (name: string, serverType: string) => ({
    name,
    serverType,
    location,
    rate: prices.serverType(serverType, location),
    ipv4: prices.ipv4(location),
  });
  return [
    ...Array.from({ length: brokers }, (_, index) => server(`kafka-${index}`, brokerServerType)),
    ...Array.from({ length: controlPlanes }, () => server("k3s-control", controlPlaneServerType)),
  ];
}

interface PastArguments {
  month: Period;
  /** Ids of the servers that are there now, and their clusters. */
  present: ReadonlySet<number>;
  presentClusters: ReadonlySet<string>;
  usual: UsualServers;
  /** Is added to. */
  problems: string[];
}

const pathOf = ({ businessDate, clusterId }: Pick<CostDocument, "businessDate" | "clusterId">): string =>
  `${businessDate}/${clusterId}`;

/** What was there and is not any more, as the bucket tells. */
async function pastUses(
  { stack, store, values, now }: CostArguments,
  { month, present, presentClusters, usual, problems }: PastArguments,
): Promise<ServerUse[]> {
  try {
    const from = dateOf(new Date(month.from.getTime() - lookBackDays * dayMs));
    const { documents, damaged } = await readCostDocuments(
      store,
      stack,
      ({ businessDate }) => businessDate >= from,
    );
    for (const key of damaged) problems.push(`${key} cannot be read: what that cluster cost is estimated`);
    const known = new Map(documents.map((document) => [pathOf(document), document]));
    const clusters = await readClusters(store, stack, {
      // A cluster of the evening before may reach into the month.
      from: dateOf(new Date(month.from.getTime() - 3 * dayMs)),
      to: dateOf(month.to),
      // Its archive is asked where the document does not tell all.
      isWanted: (cluster) => known.get(cluster)?.servers.some(isEndUncertain) !== false,
    });
    const archived = new Map(clusters.map((entry) => [pathOf(entry.identity), entry]));
    const documented = documents.flatMap((document) => {
      const sealedAt = archived.get(pathOf(document))?.manifest?.sealedAt;
      return documentedUses(document, present, sealedAt === undefined ? undefined : new Date(sealedAt));
    });
    const undocumented = clusters.filter(
      ({ identity, opened }) =>
        opened !== undefined && !known.has(pathOf(identity)) && !presentClusters.has(pathOf(identity)),
    );
    if (undocumented.length > 0 && usual.length === 0) {
      const names = undocumented.map(({ identity }) => pathOf(identity)).join(", ");
      problems.push(`nothing is possible now, so there is no price to estimate by what these cost: ${names}`);
    }
    return [
      ...documented,
      ...undocumented.flatMap((entry) => estimatedUses(entry, usual, values.openHours, now)),
    ];
  } catch (error) {
    if (!(error instanceof ArchiveStoreError)) throw error;
    problems.push(`what ran before is not known, so it is missing in all sums: ${error.message}`);
    return [];
  }
}

function byCluster(uses: readonly ServerUse[], month: Period): ClusterCost[] {
  const clusters = new Map<string, ServerUse[]>();
  for (const use of uses) clusters.set(use.cluster, [...(clusters.get(use.cluster) ?? []), use]);
  return [...clusters]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([cluster, own]) => ({
      cluster,
      servers: own.length,
      startedHours: own.reduce((sum, use) => sum + startedHoursWithin(use, month), 0),
      amount: costOf(own, month),
      isRunning: own.some(({ isRunning }) => isRunning),
      estimates: [
        ...new Set(own.map(({ estimate }) => estimate).filter((estimate) => estimate !== undefined)),
      ],
    }));
}
