/** What bills, and how much: https://docs.hetzner.com/cloud/billing/overview */
import { costInUnits, type HourlyPrice, toEuro } from "../catalog/prices.ts";
import type { SimulatedClock } from "../clock.ts";
import type { Labels } from "../labels.ts";

type BilledKind = "server" | "primary_ip";

/** Something that costs money as long as it exists; a server also when it is off. */
export interface Billable {
  kind: BilledKind;
  id: number;
  name: string;
  labels: Labels;
  /** EUR per started hour, net. */
  pricePerHour: number;
  /** EUR per month at most, net. */
  monthlyCap: number;
  /** EUR so far, net, each started hour counted. */
  cost: number;
  created: Date;
}

/** One line of the bill; `ended` is null while it still bills. */
export interface BillItem extends Billable {
  ended: Date | null;
}

/** Everything that ever billed in the project. */
export interface Bill {
  /** Simulated time up to which it counts. */
  until: Date;
  items: BillItem[];
  /** EUR, net: the exact sum. */
  total: number;
}

interface BilledRecord {
  readonly id: number;
  readonly name: string;
  readonly labels: Labels;
  readonly created: Date;
}

interface Entry {
  kind: BilledKind;
  record: BilledRecord;
  rate: HourlyPrice;
  ended: Date | null;
}

/** Counts what bills, from its creation until it is gone: a server until its delete action has ended. */
export class Ledger {
  readonly #entries: Entry[] = [];
  readonly #clock: SimulatedClock;

  constructor(clock: SimulatedClock) {
    this.#clock = clock;
  }

  /** From its creation on it bills; what costs nothing does not appear. */
  begin(kind: BilledKind, record: BilledRecord, rate: HourlyPrice): void {
    if (rate.hourly > 0) this.#entries.push({ kind, record, rate, ended: null });
  }

  /** From now on it does not bill any more. */
  end(record: BilledRecord): void {
    for (const entry of this.#entries)
      if (entry.record === record && entry.ended === null) entry.ended = this.#clock.date();
  }

  #units({ record, rate, ended }: Entry, now: Date): number {
    return costInUnits(rate, record.created.getTime(), (ended ?? now).getTime());
  }

  #item(entry: Entry, now: Date): BillItem {
    const { kind, record, rate, ended } = entry;
    return {
      kind,
      id: record.id,
      name: record.name,
      labels: record.labels,
      pricePerHour: rate.hourly,
      monthlyCap: rate.monthly,
      cost: toEuro(this.#units(entry, now)),
      created: record.created,
      ended,
    };
  }

  /** What bills now. */
  billable(): Billable[] {
    const now = this.#clock.date();
    return this.#entries
      .filter(({ ended }) => ended === null)
      .map((entry) => {
        const { ended: _ended, ...item } = this.#item(entry, now);
        return item;
      });
  }

  /** What has billed until now, with what is gone. */
  bill(): Bill {
    const until = this.#clock.date();
    return {
      until,
      items: this.#entries.map((entry) => this.#item(entry, until)),
      total: toEuro(this.#entries.reduce((sum, entry) => sum + this.#units(entry, until), 0)),
    };
  }
}
