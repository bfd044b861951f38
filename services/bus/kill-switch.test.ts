import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { KillSwitchMessage } from "./control.ts";
import { everyVenue, KillSwitch, KillSwitchUsageError, parseKillSwitch } from "./kill-switch.ts";

const message = (state: "engaged" | "released", scope: string): KillSwitchMessage => ({
  type: "kill_switch",
  state,
  scope,
  reason: "r",
  by: "b",
  at: "2025-10-14T20:00:00.000Z",
});

test("a venue is stopped while its own switch or the one for all is engaged", () => {
  const scopes = [everyVenue, "alpaca", "near-intents"];
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.constantFrom("engaged", "released"), fc.constantFrom(...scopes)), {
        maxLength: 12,
      }),
      fc.constantFrom("alpaca", "near-intents"),
      (history, venue) => {
        const state = new KillSwitch();
        for (const [verb, scope] of history) state.apply(message(verb, scope));
        // For a scope, what counts is what was said last of it; releasing all speaks of every scope.
        const stopped = [everyVenue, venue].some((scope) => {
          const last = history.findLast(
            ([verb, each]) => each === scope || (verb === "released" && each === everyVenue),
          );
          return last?.[0] === "engaged";
        });
        assert.equal(state.engagedFor(venue) !== undefined, stopped);
      },
    ),
  );
});

test("the command line is read, or refused with all its mistakes", () => {
  assert.deepEqual(parseKillSwitch(["engage", "--venue", "alpaca", "--reason", "halt"], "me"), {
    state: "engaged",
    scope: "alpaca",
    reason: "halt",
    by: "me",
  });
  assert.deepEqual(parseKillSwitch(["release", "--reason=over", "--by", "you"], "me"), {
    state: "released",
    scope: everyVenue,
    reason: "over",
    by: "you",
  });
  assert.equal(parseKillSwitch(["engage", "--help"], "me"), "help");
  assert.throws(
    () => parseKillSwitch(["stop", "now", "--venu", "x", "--venue"], "me"),
    (error: Error) =>
      error instanceof KillSwitchUsageError &&
      [
        "--venu: no such option",
        "--venue: needs a value",
        '"stop", expected engage or release',
        '"now"',
        "--reason: is missing",
      ].every((part) => error.message.includes(part)),
  );
  assert.throws(() => parseKillSwitch([], "me"), /no command/);
  assert.throws(() => parseKillSwitch(["engage", "--reason", "x".repeat(1_001)], "me"), /1001 characters/);
});
