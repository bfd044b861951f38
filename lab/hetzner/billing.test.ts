import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { costInUnits, toEuro, toUnits } from "./catalog/prices.ts";
import { startTestClient } from "./testing/client.ts";

const hour = 3_600_000;
const start = Date.UTC(2026, 0, 10);

describe("the price of a time of use", () => {
  const rate = { hourly: 0.1, monthly: 10 };
  const cost = (from: number, to: number) => toEuro(costInUnits(rate, from, to));

  test("each started hour counts, the first one at once", () => {
    assert.equal(cost(start, start), 0.1);
    assert.equal(cost(start, start + hour), 0.1);
    assert.equal(cost(start, start + hour + 1), 0.2);
    // In floating point 3 × 0.1 is 0.30000000000000004.
    assert.equal(cost(start, start + 3 * hour), 0.3);
  });

  test("no calendar month costs more than its cap", () => {
    assert.equal(cost(start, start + 500 * hour), 10);
    const endOfMonth = Date.UTC(2026, 1, 1);
    assert.equal(cost(start, endOfMonth), 10);
    assert.equal(cost(start, endOfMonth + 1), 10.1);
    assert.equal(cost(start, Date.UTC(2026, 3, 1)), 30);
    // Ten hours in January, the last of which ends in February, then five in February.
    assert.equal(cost(endOfMonth - 9.5 * hour, endOfMonth + 5.5 * hour), 1.5);
  });

  test("it is what counting hour by hour gives", () => {
    const times = fc.tuple(
      fc.integer({ min: 0, max: 400 * 24 * 60 }),
      fc.integer({ min: 0, max: 2_000 * 60 }),
    );
    fc.assert(
      fc.property(times, fc.integer({ min: 1, max: 2_000 }), ([offset, minutes], cents) => {
        const monthly = cents / 100;
        const from = start + offset * 60_000;
        const months = new Map<string, number>();
        for (let at = from; at === from || at < from + minutes * 60_000; at += hour) {
          const month = new Date(at).toISOString().slice(0, 7);
          months.set(month, (months.get(month) ?? 0) + toUnits(0.0569));
        }
        const expected = [...months.values()].reduce(
          (sum, units) => sum + Math.min(units, toUnits(monthly)),
          0,
        );
        assert.equal(costInUnits({ hourly: 0.0569, monthly }, from, from + minutes * 60_000), expected);
      }),
      { numRuns: 50 },
    );
  });
});

test("what bills, to the cent: servers also while they are off, addresses also unassigned, and nothing once it is gone", async () => {
  const client = await startTestClient({ startTime: new Date(start) });
  const { clock, project } = client.hetzner;
  try {
    const made = await client.expect(201, "POST", "/servers", {
      name: "s",
      server_type: "cpx32",
      image: "debian-12",
      location: "fsn1",
    });
    await client.wait(made.action, ...made.next_actions);
    const path = `/servers/${made.server.id}`;
    await client.expect(201, "POST", "/primary_ips", {
      name: "free",
      type: "ipv4",
      location: "fsn1",
      assignee_type: "server",
    });
    // Networks, firewalls, groups, keys and IPv6 cost nothing.
    await client.expect(201, "POST", "/networks", { name: "n", ip_range: "10.0.0.0/16" });
    await client.expect(201, "POST", "/firewalls", { name: "f" });
    assert.equal(project.bill().total, 0.0585);
    clock.advance(2.5 * hour);
    await client.wait((await client.expect(201, "POST", `${path}/actions/poweroff`)).action);
    clock.advance(3 * hour);
    assert.deepEqual(
      project
        .bill()
        .items.map(({ kind, name, cost }) => [kind, name === "s" || name === "free" ? name : "", cost]),
      [
        ["primary_ip", "", 0.0048],
        ["server", "s", 0.3414],
        ["primary_ip", "free", 0.0048],
      ],
    );
    await client.wait((await client.expect(200, "DELETE", path)).action);
    clock.advance(24 * hour);
    // The server and its address ended in their sixth hour, the other address goes on.
    const bill = project.bill();
    assert.equal(bill.total, toEuro(toUnits(0.3414) + 6 * toUnits(0.0008) + 30 * toUnits(0.0008)));
    assert.deepEqual(
      project.billable().map(({ name }) => name),
      ["free"],
    );
    assert.ok(bill.items.filter(({ ended }) => ended !== null).length === 2);
    assert.equal(
      bill.items.find(({ name }) => name === "s")?.created.getTime(),
      Date.parse(made.server.created),
    );
  } finally {
    await client.hetzner.close();
  }
});
