/**
 * Seed 000's estimate of what both stacks cost in a month, and where today's figure comes from: step by step, so that the
 * steps add up to the difference exactly.
 */
import { Decimal } from "decimal.js";
import { hourlyOf, type PlannedDay } from "./forecast.ts";
import type { UsualServers } from "./uses.ts";

/** As the seed states it; EUR. */
export const seedEstimate = {
  total: "23.89",
  servers: [
    { count: 3, serverType: "cpx31", monthly: "16.32" },
    { count: 1, serverType: "cpx21", monthly: "8.21" },
  ],
  stacks: {
    prod: { uptime: "0.301", hours: 10, days: 22, servers: "17.20", storage: "2.00", stated: "19.20" },
    dev: { uptime: "0.060", hours: 2, days: 22, servers: "3.43", storage: "1.00", stated: "4.56" },
  },
  storage: "3.00",
  dns: "0.13",
} as const;

/** A stack that the seed has. */
export type SeedStack = keyof typeof seedEstimate.stacks;

/** Whether the seed has such a stack. */
export function isSeedStack(stack: string): stack is SeedStack {
  return Object.hasOwn(seedEstimate.stacks, stack);
}

/**
 * Object Storage's base price, EUR net a month: for the whole account however many buckets it has, with 1 TB of storage
 * (https://docs.hetzner.com/storage/object-storage/overview). No API of Hetzner's tells it.
 */
export const storageBase = { monthly: "6.49", asOf: "2026-07" } as const;

/** One reason of the difference. */
export interface Step {
  reason: string;
  /** EUR. */
  amount: Decimal;
}

/** What the comparison asks of a stack. */
export interface ComparedStack {
  stack: SeedStack;
  usual: UsualServers;
  /** Started hours of a usual day. */
  usualHours: number;
  /** All of the month. */
  days: readonly PlannedDay[];
  /** EUR for the month. */
  forecast: Decimal;
}

/** From the seed's figure to today's. */
export interface Comparison {
  /** What the seed's figure is. */
  of: string;
  /** EUR. */
  from: Decimal;
  steps: Step[];
  /** EUR: {@link from} and all steps. */
  to: Decimal;
}

const sum = (amounts: readonly Decimal[]): Decimal =>
  amounts.reduce((total, amount) => total.plus(amount), new Decimal(0));

/** A cluster's servers for a whole month, at the seed's prices. */
export const seedMonthly = sum(
  seedEstimate.servers.map(({ count, monthly }) => new Decimal(monthly).times(count)),
);

/** What does not add up in the seed's own figures, one sentence each. */
export function seedSums(): string[] {
  const { total, stacks, storage, dns } = seedEstimate;
  const { prod, dev } = stacks;
  const ofDev = new Decimal(dev.servers).plus(dev.storage);
  const ofBoth = new Decimal(prod.stated).plus(dev.stated);
  const listed = ofBoth.plus(storage).plus(dns);
  const parts = sum([prod.servers, dev.servers, storage, dns].map((part) => new Decimal(part)));
  return [
    `The four lines below the total, ${prod.stated} + ${dev.stated} + ${storage} + ${dns}, add up to ${listed.toFixed(2)}, not to ` +
      `${total}: the lines of the two stacks hold their storage already.`,
    `Development, ${dev.stated}, is ${dev.servers} + ${dev.storage} = ${ofDev.toFixed(2)} and ${new Decimal(dev.stated).minus(ofDev).toFixed(2)} ` +
      `of DNS; the total is both stacks, ${ofBoth.toFixed(2)}, and DNS a second time.`,
    `Its parts, ${prod.servers} + ${dev.servers} + ${storage} + ${dns}, are ${parts.toFixed(2)}.`,
  ];
}

/**
 * Explains the difference; undefined when a server has no price today.
 * @param stacks both: compared with the seed's total, storage and DNS included; one: with its servers alone.
 */
export function compareWithSeed(stacks: readonly ComparedStack[]): Comparison | undefined {
  const prices = stacks.map(({ usual }) => hourlyOf(usual));
  if (stacks.length === 0 || prices.includes(undefined)) return undefined;
  const rows = stacks.map((compared) => rowOf(compared));
  const add = (of: (row: Row) => Decimal): Decimal => sum(rows.map(of));
  const isWhole = stacks.length === Object.keys(seedEstimate.stacks).length;
  const { dns, storage } = seedEstimate;
  const aside = isWhole ? new Decimal(storage).plus(dns) : new Decimal(0);
  const from = isWhole ? new Decimal(seedEstimate.total) : add((row) => row.stated);
  const steps: Step[] = [
    {
      reason: isWhole ? "its parts as they add up (DNS was in twice; roundings)" : "its roundings",
      amount: add((row) => row.exact)
        .plus(aside)
        .minus(from),
    },
    { reason: "prices of the server types for a month, then and now", amount: add((row) => row.types) },
    {
      reason: "the price by the hour in place of a part of the month's price",
      amount: add((row) => row.byTheHour),
    },
    {
      reason: "started hours: bringing up before opening, removing after closing",
      amount: add((row) => row.started),
    },
    { reason: `trading days of the month in place of 22, half days`, amount: add((row) => row.days) },
    { reason: "public IPv4 addresses, which it does not have", amount: add((row) => row.ipv4) },
    {
      reason: "what ran, or is to run, otherwise than planned",
      amount: add((row) => row.otherwise),
    },
  ];
  if (isWhole) {
    steps.push(
      {
        reason: `object storage: its base price in place of ${storage}`,
        amount: new Decimal(storageBase.monthly).minus(storage),
      },
      { reason: "DNS: none is used", amount: new Decimal(dns).negated() },
    );
  }
  const of = isWhole
    ? "both stacks, with storage"
    : `the servers of ${stacks.map(({ stack }) => stack).join(", ")}`;
  return { of, from, steps, to: from.plus(sum(steps.map(({ amount }) => amount))) };
}

interface Row {
  stated: Decimal;
  exact: Decimal;
  types: Decimal;
  byTheHour: Decimal;
  started: Decimal;
  days: Decimal;
  ipv4: Decimal;
  otherwise: Decimal;
}

function rowOf({ stack, usual, usualHours, days, forecast }: ComparedStack): Row {
  const seed = seedEstimate.stacks[stack];
  const hourly = sum(usual.map(({ rate }) => rate?.hourly ?? new Decimal(0)));
  const monthly = sum(usual.map(({ rate }) => rate?.monthly ?? new Decimal(0)));
  const ipv4 = sum(usual.map(({ ipv4: rate }) => rate?.hourly ?? new Decimal(0)));
  const hours = days.reduce((total, day) => total + day.hours, 0);
  const exact = seedMonthly.times(seed.uptime);
  const nowByPart = monthly.times(seed.uptime);
  const nowByHour = hourly.times(seed.hours * seed.days);
  const planned = hourly.times(hours);
  return {
    stated: new Decimal(seed.servers),
    exact,
    types: nowByPart.minus(exact),
    byTheHour: nowByHour.minus(nowByPart),
    started: hourly.times(usualHours * seed.days).minus(nowByHour),
    days: planned.minus(hourly.times(usualHours * seed.days)),
    ipv4: ipv4.times(hours),
    otherwise: forecast.minus(planned).minus(ipv4.times(hours)),
  };
}
