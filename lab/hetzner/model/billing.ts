/** What bills, and how much: https://docs.hetzner.com/cloud/billing/overview */
import { costOf, type HourlyPrice, primaryIpPrices } from "../catalog/prices.ts";
import type { Labels } from "../labels.ts";
import type { Project } from "./project.ts";

/** Something that costs money as long as it exists; a server also when it is off. */
export interface Billable {
  kind: "server" | "primary_ip";
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

/** Everything in the project that bills. A server counts until its delete action has ended. */
export function billable(project: Project, now = new Date()): Billable[] {
  const item = (
    kind: Billable["kind"],
    record: { id: number; name: string; labels: Labels; created: Date },
    rate: HourlyPrice,
  ): Billable => ({
    kind,
    id: record.id,
    name: record.name,
    labels: record.labels,
    pricePerHour: rate.hourly,
    monthlyCap: rate.monthly,
    cost: costOf(rate, now.getTime() - record.created.getTime()),
    created: record.created,
  });
  return [
    ...project.holders().map((server) => item("server", server, server.serverType.rate)),
    ...project.primaryIps.all().map((ip) => item("primary_ip", ip, primaryIpPrices[ip.type])),
  ].filter(({ pricePerHour }) => pricePerHour > 0);
}
