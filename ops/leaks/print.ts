/** Leaks for people and for scripts. */
import { Decimal } from "decimal.js";
import { describeResource } from "../cluster/labelled.ts";
import { inWords } from "../day/waiting.ts";
import { table } from "../table.ts";
import type { Leak, LeaksRemoved } from "./leaks.ts";

/** What a script needs of a leak; prices are EUR net as decimal text. */
export function leakReport(leak: Leak) {
  const { name, stack, cluster, held, resources, createdAt, expiresAt, pricePerHour, prices, costSoFar } =
    leak;
  return {
    name,
    stack: stack ?? null,
    businessDate: cluster?.businessDate ?? null,
    clusterId: cluster?.clusterId ?? null,
    held,
    createdAt: createdAt.toISOString(),
    expiresAt: expiresAt?.toISOString() ?? null,
    pricePerHour,
    costSoFar,
    resources: resources.map((resource) => ({
      kind: resource.kind,
      id: resource.id,
      name: resource.name,
      createdAt: new Date(resource.created).toISOString(),
      pricePerHour: prices.get(resource) ?? null,
    })),
  };
}

/** For people. */
export function printLeaks(leaks: readonly Leak[], now: Date): string {
  if (leaks.length === 0) return "nothing outlived its expires-at";
  const ago = (moment: Date): string => inWords(now.getTime() - moment.getTime());
  const rows = leaks.flatMap((leak) => [
    [
      leak.name,
      heldWords[leak.held],
      ago(leak.createdAt),
      leak.expiresAt === undefined ? "never got one" : `${ago(leak.expiresAt)} ago`,
      leak.pricePerHour,
      leak.costSoFar,
    ],
    ...leak.resources.map((resource) => [
      `  ${describeResource(resource)}`,
      "",
      ago(new Date(resource.created)),
      "",
      priceWord(leak.prices.get(resource)),
      "",
    ]),
  ]);
  const sum = leaks.reduce((total, { pricePerHour }) => total.plus(pricePerHour), new Decimal(0));
  return [
    table(["CLUSTER", "ARCHIVE", ">AGE", ">EXPIRED", ">EUR/HOUR", ">EUR SO FAR"], rows),
    `All of it costs ${sum.toString()} EUR per started hour (net). --destroy removes what never held data and what is sealed.`,
  ].join("\n");
}

const heldWords: Readonly<Record<Leak["held"], string>> = {
  never: "never held data",
  opened: "NOT SEALED",
  sealed: "sealed",
  unknown: "not known",
};

function priceWord(price: string | undefined): string {
  return price === undefined ? "not known" : price === "0" ? "free" : price;
}

/** For people. */
export function printRemoved({ cleared, refused, failed }: LeaksRemoved): string {
  const stays = refused.length + failed.length;
  return [
    ...cleared.flatMap(({ cluster, release, resources }) => [
      `removed what was left of ${cluster} (${release}):`,
      ...resources.map((resource) => `  ${resource}`),
    ]),
    stays === 0
      ? cleared.length === 0
        ? "nothing outlived its expires-at"
        : "nothing that outlived its expires-at is left"
      : `${stays} could not be removed`,
  ].join("\n");
}
