import assert from "node:assert/strict";
import { test } from "node:test";
import type { AccountSnapshot, Reconciliation } from "../core/trading.ts";
import { lastComparisons } from "./accounts.ts";

const positions = [{ symbol: "SPY", quantity: "7" }];
const account: AccountSnapshot = { cash: "1", positions, open_orders: [] };
const at = (minute: number): string => `2025-10-14T12:0${minute}:00.000Z`;
const mismatch: Reconciliation = { kind: "account_mismatch", at: at(1), account, differences: ["SPY"] };

test("the last comparison of each venue counts, and a late fill is none", () => {
  const said: [string, Reconciliation][] = [
    ["beta", { kind: "account_baseline", at: at(0), account }],
    ["alpha", { kind: "account_baseline", at: at(0), account }],
    ["beta", mismatch],
    [
      "beta",
      {
        kind: "late_fill",
        at: at(2),
        command_id: "c",
        status: "EXPIRED",
        filled: { kind: "none" },
        reference: {},
      } as never,
    ],
    ["alpha", { kind: "account_matched", at: at(3), account }],
  ];
  const events = said.map(([venue, payload]) => ({ venue, payload }));
  assert.deepEqual(lastComparisons(events), [
    { venue: "alpha", outcome: "matched", at: at(3), differences: [], positions },
    { venue: "beta", outcome: "mismatch", at: at(1), differences: ["SPY"], positions },
  ]);
  const accepted = { venue: "beta", payload: { kind: "account_baseline", at: at(4), account } as const };
  assert.equal(lastComparisons([...events, accepted])[1]?.outcome, "recorded", "a person has accepted it");
  assert.deepEqual(lastComparisons([]), []);
});
