/** Puts a day's faults on the agenda: what breaks when, and when it is whole again. */
import type { TradingDay } from "../../ops/calendar/trading-day.ts";
import { type HetznerClient } from "../../ops/hetzner/client.ts";
import type { FaultRule } from "../hetzner/index.ts";
import type { DayFault } from "./faults.ts";
import type { YearWorld } from "./world.ts";

const minuteMs = 60_000;
const later = (moment: Date, minutes: number): Date => new Date(moment.getTime() + minutes * minuteMs);
/** Before the guard's last look at the day. */
const nightHours = 26;

/** The parts of the account that the stock's faults are about. */
export interface Stock {
  /** Type of the brokers in the first choice, and where. */
  firstBrokers: { type: string; location: string };
  /** Everything that can be ordered. */
  offers: readonly { type: string; location: string }[];
}

/** Everything that can be ordered at the start. @throws HetznerApiError */
export async function stockOf(client: HetznerClient, firstBrokers: Stock["firstBrokers"]): Promise<Stock> {
  const types = await client.serverTypes();
  const offers = types.flatMap(({ name: type, locations }) =>
    locations.filter(({ available }) => available).map(({ name: location }) => ({ type, location })),
  );
  return { firstBrokers, offers };
}

/** See the module's description. What concerns crons and runners is not done here. */
export function planBreakage(
  world: YearWorld,
  day: TradingDay,
  faults: readonly DayFault[],
  stock: Stock,
): void {
  const { agenda, bucket, hetzner, inside, people, stack } = world;
  const { beginsAt, opensAt, closesAt } = day;
  const midnight = new Date(`${day.date}T00:00:00Z`);
  const night = later(midnight, nightHours * 60);
  /** Something that is so between two moments. */
  const between = (from: Date, to: Date, begin: () => unknown, end: () => unknown): void => {
    agenda.add(from, "moment", async () => void (await begin()));
    agenda.add(to, "moment", async () => void (await end()));
  };
  const rule = (from: Date, to: Date, made: FaultRule): void => {
    let ids: string[] = [];
    between(
      from,
      to,
      () => (ids = hetzner.faults.add({ rules: [made] })),
      () => ids.forEach((id) => hetzner.faults.remove(id)),
    );
  };
  const soldOut = (offers: Stock["offers"], from: Date, to: Date): void => {
    const change = (availability: "sold-out" | "available") =>
      offers.forEach(({ type, location }) => hetzner.changeStock({ [type]: { [location]: availability } }));
    between(
      from,
      to,
      () => change("sold-out"),
      () => change("available"),
    );
  };
  for (const fault of faults) {
    switch (fault.kind) {
      case "cron-late":
      case "cron-dropped":
      case "cron-double":
      case "runner-killed":
        break;
      case "stock-out":
        if (fault.when === "listed") soldOut([stock.firstBrokers], midnight, later(opensAt, 60));
        else {
          rule(midnight, later(opensAt, 60), {
            at: "request",
            method: "POST",
            path: "/servers",
            body: { name: `${stack}-kafka-1` },
            when: { times: 1 },
            effect: { kind: "error", code: "resource_unavailable" },
          });
        }
        break;
      case "sold-out": {
        const from = later(beginsAt, -60);
        soldOut(stock.offers, from, later(from, fault.minutes));
        break;
      }
      case "s3-down": {
        const from = later(fault.job === "open" ? beginsAt : closesAt, -10);
        between(
          from,
          later(from, fault.minutes),
          () => bucket.down(),
          () => bucket.up(),
        );
        break;
      }
      case "hetzner-errors":
        rule(midnight, night, {
          at: "request",
          when: { rate: fault.rate },
          effect: { kind: "http", status: 503 },
        });
        break;
      case "action-failed":
        rule(midnight, night, {
          at: "action",
          command: fault.command,
          when: { times: 1 },
          effect: { error: { code: "action_failed", message: "the action failed (injected by the lab)" } },
        });
        break;
      case "webhook-down":
        between(
          midnight,
          night,
          () => (people.isDown = true),
          () => (people.isDown = false),
        );
        break;
      case "state-lost":
        agenda.add(later(opensAt, 20), "moment", () => world.loseState());
        break;
      case "seal-refused":
        between(
          later(closesAt, -5),
          later(closesAt, fault.minutes),
          () => (inside.conduct = "refuses"),
          () => (inside.conduct = "seals"),
        );
        break;
    }
  }
}
