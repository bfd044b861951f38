/**
 * What a year must keep, judged from what is there: the simulated account and its bill, the bucket past its proxy, and
 * what reached people. Nothing that the commands say of themselves counts.
 */
import type { TradingDay } from "../../ops/calendar/trading-day.ts";
import { type ClusterArchive, openArchive, verifyArchive } from "../../services/archive/index.ts";
import { documents } from "../../services/archive/layout.ts";
import type { ServerView } from "../hetzner/index.ts";
import type { LabObjectStore } from "../objectstore/index.ts";
import type { ReceivedNotice, SimulatedPeople } from "./people.ts";
import type { YearWorld } from "./world.ts";

/** A broken promise. */
export interface Finding {
  kind: "not-opened-untold" | "still-there-untold" | "unsealed-removed" | "leaked" | "unexplained-cost";
  /** Trading day, or the date at which it was found. */
  date: string;
  stack: string;
  /** For people. */
  what: string;
}

/** How a trading day went, as far as it can be seen from outside. */
export interface DayVerdict {
  /** Whether a whole, opened cluster of the day was there at the bell. */
  opened: boolean;
  /** Whether nothing of the day was left at its deadline. */
  gone: boolean;
  /** How people came to know of what was not as it should be; empty when there was nothing to know, or nobody was told. */
  told: string[];
}

/** After the bell, or the deadline, the guard must have come by. */
const toldWithinMs = 2 * 3_600_000;
const dateOf = (server: Pick<ServerView, "labels">): string => server.labels["business-date"] ?? "?";

/** See the module's description. */
export class Judge {
  readonly findings: Finding[] = [];
  readonly #stack: string;
  readonly #store: LabObjectStore;
  /** Clusters that were looked at when they lost a server, by whether that was allowed. */
  readonly #removed = new Map<string, Promise<void>>();

  constructor(stack: string, store: LabObjectStore) {
    this.#stack = stack;
    this.#store = store;
  }

  /** A server is gone: of a cluster that held data, none may before the seal. */
  onServerDeleted(server: ServerView): void {
    const { "cluster-id": clusterId, "business-date": date } = server.labels;
    if (clusterId === undefined || date === undefined || this.#removed.has(clusterId)) return;
    this.#removed.set(clusterId, this.#demandSealed(clusterId, date, server.name));
  }

  async #demandSealed(clusterId: string, date: string, server: string): Promise<void> {
    await this.#withArchive(clusterId, date, async (archive) => {
      if ((await archive.get(documents.opened)) === undefined) return;
      const { verified } = await verifyArchive(archive, { mode: "fast" });
      if (verified) return;
      const what = `${server} of ${this.#stack}/${date}/${clusterId} was removed; the cluster was opened and has no valid manifest`;
      this.#find("unsealed-removed", date, what);
    });
  }

  /** At the bell. @returns whether a whole, opened cluster of the day is there */
  async isOpen({ hetzner }: YearWorld, { date }: TradingDay): Promise<boolean> {
    const servers = hetzner.project.servers().filter((server) => dateOf(server) === date);
    const ids = [...new Set(servers.map(({ labels }) => labels["cluster-id"]))];
    const [clusterId] = ids;
    if (ids.length !== 1 || clusterId === undefined || servers.length !== wholeCluster) return false;
    if (servers.some(({ status }) => status !== "running")) return false;
    return this.#withArchive(
      clusterId,
      date,
      async (archive) => (await archive.get(documents.opened)) !== undefined,
    );
  }

  /** What is there of a day, or of one before it. */
  leftOf({ hetzner }: YearWorld, date: string): string[] {
    return hetzner.project
      .servers()
      .filter((server) => dateOf(server) <= date)
      .map(
        ({ name, labels }) => `${name} (${labels["cluster-id"] ?? "?"}, ${labels["business-date"] ?? "?"})`,
      );
  }

  /** Some time after the bell and the deadline, when everybody who would tell has had the time to. */
  judgeDay(
    people: Pick<SimulatedPeople, "notices" | "hasBeat">,
    day: TradingDay,
    { opened, gone }: Omit<DayVerdict, "told">,
  ): DayVerdict {
    const { date, beginsAt, bell, closesAt, deadline } = day;
    const told: string[] = [];
    if (!opened) {
      const beat = people.hasBeat("open", new Date(beginsAt.getTime() - 12 * 3_600_000), bell);
      const by = [
        ...noticed(
          people.notices,
          ["not-opened", "failed", "unsealed", "still-open", "leaked"],
          beginsAt,
          bell,
        ),
        ...(beat ? [] : ["the heartbeat of open did not come by the bell"]),
      ];
      if (by.length === 0)
        this.#find("not-opened-untold", date, "no cluster at the bell, and nobody was told");
      told.push(...by);
    }
    if (!gone) {
      const by = [
        ...noticed(people.notices, ["unsealed", "still-open", "leaked", "failed"], closesAt, deadline),
        ...(people.hasBeat("close", closesAt, deadline)
          ? []
          : ["the heartbeat of close did not come by the deadline"]),
      ];
      if (by.length === 0)
        this.#find(
          "still-there-untold",
          date,
          "the cluster was there past its deadline, and nobody was told",
        );
      told.push(...by);
    }
    return { opened, gone, told };
  }

  /** In the night all of the day's faults are over: what is there now, nobody will remove. */
  demandNothingLeft(world: YearWorld, date: string): void {
    const left = world.hetzner.project.billable();
    if (left.length === 0) return;
    const names = left.map(({ kind, name }) => `${kind} ${name}`).join(", ");
    this.#find("leaked", date, `still billing at ${world.now().toISOString()}: ${names}`);
  }

  /** A sum without a cause. */
  unexplained(date: string, what: string): void {
    this.#find("unexplained-cost", date, what);
  }

  /** In the end: every cluster that was ever opened is sealed, or still there. */
  async demandAllSealed({ hetzner }: YearWorld): Promise<void> {
    await Promise.all(this.#removed.values());
    const there = new Set(hetzner.project.servers().map(({ labels }) => labels["cluster-id"]));
    const folders = await this.#withArchive("any", "2026-01-01", async ({ store }) => {
      const dates = await store.folders(`${this.#stack}/`);
      return (await Promise.all(dates.map((date) => store.folders(date)))).flat();
    });
    for (const folder of folders) {
      const [clusterId = "", date = ""] = folder.split("/").slice(1, -1).reverse();
      const isKnown = this.findings.some(
        ({ kind, what }) => kind === "unsealed-removed" && what.includes(clusterId),
      );
      if (!there.has(clusterId) && !isKnown) await this.#demandSealed(clusterId, date, "everything");
    }
  }

  #find(kind: Finding["kind"], date: string, what: string): void {
    this.findings.push({ kind, date, stack: this.#stack, what });
  }

  async #withArchive<Result>(
    clusterId: string,
    businessDate: string,
    look: (archive: ClusterArchive) => Promise<Result>,
  ): Promise<Result> {
    const archive = openArchive(this.#store, { stack: this.#stack, businessDate, clusterId });
    try {
      return await look(archive);
    } finally {
      archive.store.close();
    }
  }
}

/** Servers of a cluster: three brokers and the control plane. */
const wholeCluster = 4;

/** What arrived in time, as text without repetitions. */
function noticed(
  notices: readonly ReceivedNotice[],
  kinds: readonly string[],
  from: Date,
  until: Date,
): string[] {
  const latest = until.getTime() + toldWithinMs;
  const found = notices.filter(
    ({ kind, at }) => kinds.includes(kind) && at >= from && at.getTime() <= latest,
  );
  return [...new Set(found.map(({ kind }) => `webhook: ${kind}`))];
}
