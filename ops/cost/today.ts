/** What a stack has cost today, without a look at the rest of the month. */
import type { Decimal } from "decimal.js";
import type { ArchiveStore } from "../../services/archive/store.ts";
import type { HetznerClient } from "../hetzner/client.ts";
import { stackSelector } from "../hetzner/settings.ts";
import { calendarDay } from "./billing.ts";
import { readCostDocuments } from "./cost-document.ts";
import { costOf } from "./forecast.ts";
import { readPrices } from "./prices.ts";
import { documentedUses, runningUses } from "./uses.ts";

/** Documents of clusters of the last days: one of them may have reached into today. */
const lookBackDays = 7;
const dayMs = 86_400_000;

/**
 * EUR net by the hours that began on this calendar day (UTC): of what is there, and of what was written down.
 * @returns `estimates`: why it is not exact, one sentence each
 * @throws HetznerApiError; ArchiveStoreError
 */
export async function costOfToday(
  client: HetznerClient,
  store: ArchiveStore,
  stack: string,
  now: Date,
): Promise<{ amount: Decimal; estimates: string[] }> {
  const from = new Date(now.getTime() - lookBackDays * dayMs).toISOString().slice(0, 10);
  const [prices, servers, { documents }] = await Promise.all([
    readPrices(client),
    client.list("servers", { labelSelector: stackSelector(stack) }),
    readCostDocuments(store, stack, ({ businessDate }) => businessDate >= from),
  ]);
  const present = new Set(servers.map(({ id }) => id));
  const today = calendarDay(now);
  const uses = [
    ...runningUses(servers, prices, now),
    ...documents.flatMap((document) => documentedUses(document, present, undefined)),
  ].filter((use) => use.to >= today.from);
  const estimates = new Set(
    uses.map(({ estimate }) => estimate).filter((estimate) => estimate !== undefined),
  );
  return { amount: costOf(uses, today), estimates: [...estimates] };
}
